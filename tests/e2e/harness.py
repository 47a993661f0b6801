"""A release of the chart on a real cluster, driven as a user drives it: Helm, kubectl port-forward, the API."""

import base64
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import yaml
from kubernetes import client
from prometheus_client.parser import text_string_to_metric_families

from charting.rendering import CHART, merged
from integration.harness import Background, eventually

HELM = Path(__file__).parents[2] / "ci" / "deploy" / "helm"
# Short tasks, so that what a release derives from the longest one is short as well.
QUICK: Mapping[str, Any] = {
    "extraEnv": {"STEPS": "4", "STEP_SECONDS": "0.5"},
    "workerDefaults": {"longestTaskSeconds": 10, "autoscaling": {"pollingInterval": 2, "cooldownPeriod": 15}},
}


def of_this_cluster() -> dict[str, Any]:
    """Return the values that every installation starts from: the file that STALK_E2E_VALUES names, or none.

    It says where a cluster's images come from, and what else is its own.
    """
    file = os.environ.get("STALK_E2E_VALUES")
    return yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {} if file else {}


@dataclass
class Release:
    """One release in one namespace; `values` are what it was last installed or upgraded with."""

    name: str
    namespace: str
    kubeconfig: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def fullname(self) -> str:
        """What the names of the release's objects begin with."""
        return self.name if "stalk" in self.name else f"{self.name}-stalk"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": self.kubeconfig}

    def run(self, *words: str | Path, check: bool = True, stdin: str | None = None) -> str:
        """Run a command against the cluster and return what it printed."""
        done = subprocess.run(
            [str(word) for word in words],
            env=self.environment,
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout}"
        return done.stdout

    def kubectl(self, *words: str, check: bool = True, stdin: str | None = None) -> str:
        return self.run("kubectl", "-n", self.namespace, *words, check=check, stdin=stdin)

    def helm(self, command: str, *words: str | Path) -> str:
        return self.run(HELM, command, self.name, *words, "-n", self.namespace, "--timeout", "5m")

    def install(self, *values: Mapping[str, Any], chart: Path = CHART) -> None:
        """Install with Helm 3, or upgrade, and wait."""
        self.values = merged(of_this_cluster(), *values)
        file = json.dumps(self.values)
        where = ["-n", self.namespace, "--wait", "--timeout", "5m", "--values", "-"]
        self.run(HELM, "upgrade", "--install", self.name, chart, *where, stdin=file)

    def uninstall(self) -> None:
        self.helm("uninstall", "--wait")

    def secret(self, key: str) -> str:
        found = client.CoreV1Api().read_namespaced_secret(f"{self.fullname}-credentials", self.namespace)
        return base64.b64decode((found.data or {})[key]).decode()

    def worker(self, pool: str = "default") -> Any:
        """Return a pool's Deployment."""
        return client.AppsV1Api().read_namespaced_deployment(f"{self.fullname}-worker-{pool}", self.namespace)

    def pod(self, name: str) -> Any:
        return client.CoreV1Api().read_namespaced_pod(name, self.namespace)

    def pods(self, component: str) -> list[Any]:
        """Return a component's pods, those that still end included."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        return client.CoreV1Api().list_namespaced_pod(self.namespace, label_selector=selector).items

    def pod_names(self, pool: str = "default") -> list[str]:
        """Return the names of a pool's pods, those that still end included."""
        selector = f"app.kubernetes.io/instance={self.name},stalk/pool={pool}"
        found = client.CoreV1Api().list_namespaced_pod(self.namespace, label_selector=selector).items
        return [str(pod.metadata.name) for pod in found if pod.metadata is not None]

    def replicas(self, pool: str = "default") -> int:
        """Return how many pods of a pool there are, those that still end included."""
        return len(self.pod_names(pool))

    def autoscalers(self) -> dict[str, Any]:
        """Return the HorizontalPodAutoscalers, by name."""
        found = client.AutoscalingV2Api().list_namespaced_horizontal_pod_autoscaler(self.namespace).items
        named = {str(item.metadata.name): item for item in found if item.metadata is not None}
        return {name: item for name, item in named.items() if self.fullname in name}

    def scaled_object(self, pool: str = "default") -> dict[str, Any]:
        found: dict[str, Any] = client.CustomObjectsApi().get_namespaced_custom_object(
            "keda.sh", "v1alpha1", self.namespace, "scaledobjects", f"{self.fullname}-worker-{pool}"
        )
        return found

    def condition(self, kind: str, pool: str = "default") -> str:
        conditions = self.scaled_object(pool).get("status", {}).get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == kind), "Unknown")

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[str]:
        """Reach a Service or a pod through `kubectl port-forward`, which ends with the pod; yields `127.0.0.1:<port>`.

        Args:
            target: as kubectl takes it, such as `service/stalk-api`.
            port: of the target.
        """
        words = ["kubectl", "-n", self.namespace, "port-forward", target, f":{port}"]
        with subprocess.Popen(
            words, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                assert found, f"{' '.join(words)}: {line}{process.stdout.read()}"
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield f"127.0.0.1:{found[1]}"
            finally:
                process.terminate()

    @contextmanager
    def api(self) -> Iterator[httpx.Client]:
        """Yield a client of the API."""
        with (
            self.forwarded(f"service/{self.fullname}-api", 80) as address,
            httpx.Client(base_url=f"http://{address}", timeout=15) as http,
        ):
            yield http

    @contextmanager
    def flower(self) -> Iterator[httpx.Client]:
        """Yield a client of Flower, logged in."""
        login = ("flower", self.secret("flower-password"))
        with (
            self.forwarded(f"service/{self.fullname}-flower", 5555) as address,
            httpx.Client(base_url=f"http://{address}", auth=login, timeout=15) as http,
        ):
            yield http

    @contextmanager
    def watched(self, pool: str = "default") -> Iterator[list[int]]:
        """Note twice a second meanwhile how many replicas the pool shall have."""
        wanted: list[int] = []

        def look(end: threading.Event) -> None:
            while not end.wait(0.5):
                wanted.append(self.worker(pool).spec.replicas or 0)

        with Background(look):
            yield wanted


@contextmanager
def lent(prefix: str, kubeconfig: str) -> Iterator[str]:
    """Give a new namespace that admits only restricted pods, and take it away with everything in it.

    Args:
        prefix: what its name begins with.
        kubeconfig: of the cluster.

    Raises:
        AssertionError: something in it does not go; which.
    """
    name = f"{prefix}-{uuid4().hex[:6]}"
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    client.CoreV1Api().create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name, labels=labels)))
    yield name
    inside = Release("stalk", name, kubeconfig)
    # KEDA must still be there to let go of its objects, so they go before the namespace does.
    inside.kubectl("delete", "scaledobjects", "--all", "--wait", "--timeout=300s")
    client.CoreV1Api().delete_namespace(name)
    # The namespace itself stays while any API of the cluster is away, such as KEDA's metrics in another test.
    inside.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=300s")


def submit(http: httpx.Client, word: str = "word") -> str:
    answer = http.post("/tasks", json={"word": word})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def submit_many(http: httpx.Client, number: int) -> list[str]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda index: submit(http, f"word-{index}"), range(number)))


def all_succeeded(http: httpx.Client, ids: list[str]) -> bool:
    return all(http.get(f"/tasks/{each}").json()["status"] == "SUCCESS" for each in ids)


def wait_for_all(http: httpx.Client, ids: list[str], timeout: float = 180) -> None:
    eventually(lambda: all_succeeded(http, ids), timeout, interval=1)


def events(http: httpx.Client, kind: str) -> int:
    """Return how many task events of one kind Flower has seen, of all workers."""
    families = text_string_to_metric_families(http.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == "flower_events_total"]
    return int(sum(sample.value for sample in samples if sample.labels["type"] == kind))


def report(release: Release, folder: Path) -> None:
    """Write down what a person would look at first."""
    folder.mkdir(parents=True, exist_ok=True)
    looks = {
        "objects.txt": ["get", "all,scaledobjects,pvc,jobs", "-o", "wide"],
        "events.txt": ["get", "events", "--sort-by=.lastTimestamp"],
        "pods.txt": ["describe", "pods"],
        "scalers.txt": ["describe", "scaledobjects,hpa"],
    }
    for file, words in looks.items():
        (folder / file).write_text(release.kubectl(*words, check=False))
    for name in release.kubectl("get", "pods", "-o", "name", check=False).split():
        said = release.kubectl("logs", name, "--all-containers", "--tail=2000", "--prefix", check=False)
        (folder / f"{name.partition('/')[2]}.log").write_text(said)
    (folder / "values.yaml").write_text(yaml.safe_dump(release.values))


def until(what: Callable[[], Any], timeout: float = 120) -> Any:
    """`eventually`, at the pace of a cluster."""
    return eventually(what, timeout, interval=0.5)
