"""A release on an API server of the test's own, for `stalk doctor` to look at."""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from charting.rendering import CHART, merged
from e2e.diagnosis import ask
from e2e.harness import HELM
from kube.control_plane import ControlPlane
from kube.external_metrics import MetricsApi
from kube.keda import KINDS, SPECS, custom
from local import RabbitMQ

__all__ = ["NAMESPACE", "OPERATOR", "Cluster", "_timeline", "beside", "namespace"]

NAMESPACE = "shop"
OPERATOR: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "keda-operator",
        "namespace": "keda",
        "labels": {"app": "keda-operator", "app.kubernetes.io/version": "2.21.0"},
    },
    "spec": {
        "selector": {"matchLabels": {"app": "keda-operator"}},
        "template": {
            "metadata": {"labels": {"app": "keda-operator"}},
            "spec": {"containers": [{"name": "keda-operator", "image": "ghcr.io/kedacore/keda:2.21.0"}]},
        },
    },
}


@pytest.fixture(scope="module")
def namespace() -> str:
    """Take the place of the one on the cluster that KUBECONFIG names: it is not used."""
    return NAMESPACE


@pytest.fixture(autouse=True)
def _timeline() -> None:
    """Nothing runs here that a timeline could show."""


def beside(broker: RabbitMQ, redis_port: int = 6379) -> dict[str, Any]:
    """Return values of a release whose broker and Redis are on this machine, with the Secrets `broker` and `results`.

    No part of it has a password of its own, for nobody would run the Job that makes them.
    """
    return {
        "api": {"enabled": False},
        "flower": {"enabled": False},
        "rabbitmq": {"enabled": False},
        "externalRabbitmq": {
            "host": "127.0.0.1",
            "port": broker.port,
            "username": broker.user,
            "existingSecret": "broker",
            "management": {"url": broker.management_url},
        },
        "redis": {"enabled": False},
        "externalRedis": {"host": "127.0.0.1", "port": redis_port, "existingSecret": "results"},
    }


class Cluster:
    """An API server with a release that KEDA shall scale.

    Args:
        plane: runs.
        values: of the release.
        secrets: that the values name, each with its keys and their values.
        metrics_api: of external metrics, KEDA's.
    """

    def __init__(
        self,
        plane: ControlPlane,
        values: Mapping[str, Any],
        secrets: Mapping[str, Mapping[str, str]],
        metrics_api: MetricsApi,
    ) -> None:
        self.plane, self.values, self.secrets, self.metrics_api = plane, values, secrets, metrics_api
        self.install_keda()
        self.make_namespace()

    def make_namespace(self) -> None:
        """Bring the namespace, with the Secrets in it."""
        self.plane.kubectl("create", "namespace", NAMESPACE)
        metadata = {name: {"name": name, "namespace": NAMESPACE} for name in self.secrets}
        self.apply(
            *(
                {"apiVersion": "v1", "kind": "Secret", "metadata": metadata[name], "stringData": dict(data)}
                for name, data in self.secrets.items()
            )
        )

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make objects, or make them so."""
        bundle = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps(bundle))

    def install_keda(self, specs: dict[str, Any] = SPECS) -> None:
        """Bring KEDA's kinds, and the Deployment of an operator, which seems to run."""
        self.apply(*(custom(kind, specs) for kind in KINDS))
        for kind in KINDS:
            self.plane.kubectl("wait", "--for=condition=Established", f"crd/{kind.lower()}s.keda.sh", "--timeout=60s")
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "keda"}}, OPERATOR)
        self.operator_ready(1)

    def operator_ready(self, replicas: int) -> None:
        """Let the operator's Deployment have so many ready pods."""
        self.patch("keda", "deployment/keda-operator", {"status": {"replicas": 1, "readyReplicas": replicas}}, "status")

    def patch(self, namespace: str, what: str, change: dict[str, Any], subresource: str = "") -> None:
        """Merge a change into an object, or into its subresource, such as `status`."""
        words = ["-n", namespace, "patch", what, "--type=merge", "-p", json.dumps(change)]
        self.plane.kubectl(*words, *([f"--subresource={subresource}"] if subresource else []))

    @contextmanager
    def operator(self, version: str = "2.21.0", watch: str = "", ready: int = 1) -> Iterator[None]:
        """Change the operator's Deployment for a while."""
        changed = copy.deepcopy(OPERATOR)
        changed["metadata"]["labels"]["app.kubernetes.io/version"] = version
        container = changed["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": "WATCH_NAMESPACE", "value": watch}]
        self.apply(changed)
        self.operator_ready(ready)
        try:
            yield
        finally:
            self.apply(OPERATOR)
            self.operator_ready(1)

    def install(self, *more: Mapping[str, Any]) -> None:
        """Install the chart, or bring back what is missing of it."""
        values = json.dumps(merged(self.values, *more))
        where = ["-n", NAMESPACE, "--values", "-"]
        self.plane.run(str(HELM), "upgrade", "--install", "stalk", str(CHART), *where, stdin=values)

    def seen_by_keda(self) -> None:
        """Let KEDA seem to have seen the ScaledObject, where no operator runs."""
        condition = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "ready"}
        self.patch(NAMESPACE, "scaledobject/stalk-worker-default", {"status": {"conditions": [condition]}}, "status")

    def kubectl(self, *words: str) -> str:
        """Run kubectl in the release's namespace."""
        return self.plane.kubectl("-n", NAMESPACE, *words)

    def diagnose(self) -> dict[str, Any]:
        """Look as from a laptop."""
        return ask(["--namespace", NAMESPACE], self.plane.environment)[0]

    def in_pod(self, folder: Path) -> dict[str, Any]:
        """Look as the pod of `helm test` does, with the rights of its service account."""
        token = self.plane.pod_environment(folder, NAMESPACE, "stalk-doctor")
        nowhere = {"BROKER_HOST": "127.0.0.1", "BROKER_PORT": "1", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}
        return ask(["--in-cluster", "-q", "test-queue"], self.plane.environment | token | nowhere, NAMESPACE)[0]
