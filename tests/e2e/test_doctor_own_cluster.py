"""`stalk doctor` on an API server of the test's own: KEDA absent or old, and what the doctor of `helm test` may read.

Nobody else's cluster can be without KEDA for that long. Nothing acts on the objects here: no pod ever runs, and what a
controller would write into a status is written by the test.
"""

import copy
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from charting.rendering import CHART
from e2e.diagnosis import STALK, names
from e2e.harness import HELM, until
from kube.control_plane import ControlPlane, missing, running

pytestmark = pytest.mark.timeout(480)

NAMESPACE = "shop"
VALUES = CHART / "ci" / "existing-secrets.yaml"
SPECS = CHART.parents[1] / "tests" / "chart" / "data" / "keda.json"
SECRETS = {
    "my-rabbitmq": ("app", "reader", "rabbitmq-worker-password"),
    "my-redis": ("app",),
    "my-flower": ("flower-password",),
}
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


def custom(specs: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the CRD of one of KEDA's kinds, from the spec that the chart's tests know it by."""
    plural = f"{kind.lower()}s"
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": _structural(specs[f"keda.sh/v1alpha1/{kind}"]), "status": loose}}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.keda.sh"},
        "spec": {
            "group": "keda.sh",
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [version],
        },
    }


def _structural(node: Any) -> Any:
    """Return a schema as a CRD may have it: what is not named there is dropped, not refused."""
    if isinstance(node, list):
        return [_structural(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "anyOf" in node and "type" not in node:
        return {"x-kubernetes-int-or-string": True}
    return {
        name: _structural(each) for name, each in node.items() if name != "additionalProperties" or each is not False
    }


class Cluster:
    """An API server with a release that KEDA shall scale."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.specs: dict[str, Any] = json.loads(SPECS.read_text(encoding="utf-8"))

    def apply(self, *objects: dict[str, Any]) -> None:
        bundle = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps(bundle))

    def install_keda(self, specs: dict[str, Any] | None = None) -> None:
        """Bring KEDA's kinds, and an operator that seems to run."""
        kinds = ("ScaledObject", "TriggerAuthentication")
        self.apply(*(custom(specs or self.specs, kind) for kind in kinds))
        for kind in kinds:
            self.plane.kubectl("wait", "--for=condition=Established", f"crd/{kind.lower()}s.keda.sh", "--timeout=60s")
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "keda"}}, OPERATOR)
        self.operator_ready(1)

    def operator_ready(self, replicas: int) -> None:
        self.patch("keda", "deployment/keda-operator", {"status": {"replicas": 1, "readyReplicas": replicas}}, "status")

    def patch(self, namespace: str, what: str, change: dict[str, Any], subresource: str = "") -> None:
        words = ["-n", namespace, "patch", what, "--type=merge", "-p", json.dumps(change)]
        self.plane.kubectl(*words, *([f"--subresource={subresource}"] if subresource else []))

    def install(self) -> None:
        """Install the chart, or bring back what is missing of it; let KEDA seem to have seen it."""
        where = ["-n", NAMESPACE, "--create-namespace", "--values", str(VALUES)]
        self.plane.run(str(HELM), "upgrade", "--install", "stalk", str(CHART), *where)
        condition = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "ready"}
        self.patch(NAMESPACE, "scaledobject/stalk-worker-default", {"status": {"conditions": [condition]}}, "status")

    def diagnose(self) -> dict[str, Any]:
        return self._said("--namespace", NAMESPACE, environment=self.plane.environment)

    def in_pod(self, folder: Path) -> dict[str, Any]:
        """Look as the pod of `helm test` does, with the rights of its service account."""
        token = self.plane.pod_environment(folder, NAMESPACE, "stalk-doctor")
        nowhere = {"BROKER_HOST": "127.0.0.1", "BROKER_PORT": "1", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}
        return self._said("--in-cluster", "-q", "test-queue", environment=self.plane.environment | token | nowhere)

    def _said(self, *words: str, environment: dict[str, str]) -> dict[str, Any]:
        command = [str(STALK), "doctor", "--json", *words]
        done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=60, check=False)
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        assert said["seconds"] < 15
        return said


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    with running(tmp_path_factory.mktemp("control-plane")) as plane:
        made = Cluster(plane)
        made.install_keda()
        plane.kubectl("create", "namespace", NAMESPACE)
        made.apply(
            *(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": name, "namespace": NAMESPACE},
                    "stringData": dict.fromkeys(keys, "a-password"),
                }
                for name, keys in SECRETS.items()
            )
        )
        made.install()
        yield made


@contextmanager
def operator(cluster: Cluster, **change: Any) -> Iterator[None]:
    """Change the operator's Deployment for a while."""
    changed = copy.deepcopy(OPERATOR)
    changed["metadata"]["labels"]["app.kubernetes.io/version"] = change.get("version", "2.21.0")
    if "watch" in change:
        container = changed["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": "WATCH_NAMESPACE", "value": change["watch"]}]
    cluster.apply(changed)
    try:
        yield
    finally:
        cluster.apply(OPERATOR)


def evidence(said: dict[str, Any]) -> str:
    return "\n".join(each["evidence"] for each in said["findings"])


def test_nothing_is_wrong_with_what_kubernetes_has(cluster: Cluster) -> None:
    said = cluster.diagnose()
    assert said["findings"] == [], said
    assert {"scaler", "HPA", "pods"} <= set(said["ok_links"])
    assert [each["what"] for each in said["unchecked"]] == ["broker, Redis and workers"], "no pod runs here"


def test_kedas_kinds_are_gone(cluster: Cluster) -> None:
    cluster.plane.kubectl("delete", "crd", "scaledobjects.keda.sh", "triggerauthentications.keda.sh", "--wait")
    try:
        said = cluster.diagnose()
    finally:
        cluster.install_keda()
        cluster.plane.run(str(HELM), "uninstall", "stalk", "-n", NAMESPACE)
        cluster.install()
    assert names(said) == {"keda-absent"}, said
    assert "the API server knows no kind ScaledObject (keda.sh/v1alpha1)" in evidence(said)
    assert said["exit_code"] == 1


def test_kedas_kinds_were_never_there_and_nobody_wants_them(cluster: Cluster) -> None:
    """A release that is scaled by CPU needs no KEDA."""
    modes = ["--set", "workers.default.autoscaling.mode=hpa"]
    where = ["-n", NAMESPACE, "--values", str(VALUES)]
    cluster.plane.run(str(HELM), "upgrade", "stalk", str(CHART), *where, *modes)
    cluster.plane.kubectl("delete", "crd", "scaledobjects.keda.sh", "triggerauthentications.keda.sh", "--wait")
    try:
        said = cluster.diagnose()
    finally:
        cluster.install_keda()
        cluster.install()
    assert said["findings"] == [], said


def test_keda_has_no_operator(cluster: Cluster) -> None:
    cluster.plane.kubectl("-n", "keda", "delete", "deployment", "keda-operator")
    try:
        said = cluster.diagnose()
    finally:
        cluster.install_keda()
    assert names(said) == {"keda-absent"}, said
    assert "no Deployment of keda-operator in any namespace" in evidence(said)


def test_kedas_operator_is_down(cluster: Cluster) -> None:
    cluster.operator_ready(0)
    try:
        said = cluster.diagnose()
    finally:
        cluster.operator_ready(1)
    assert names(said) == {"keda-down"}, said


def test_kedas_operator_is_old(cluster: Cluster) -> None:
    with operator(cluster, version="2.14.1"):
        said = cluster.diagnose()
    assert names(said) == {"keda-old"}, said
    assert "keda/keda-operator is KEDA 2.14" in evidence(said)


def test_kedas_kinds_are_old(cluster: Cluster) -> None:
    """An operator that was built by hand has no version; what its CRDs do not know is dropped without a word."""
    old = copy.deepcopy(cluster.specs)
    del old["keda.sh/v1alpha1/ScaledObject"]["properties"]["fallback"]["properties"]["behavior"]
    cluster.install_keda(old)
    try:
        with operator(cluster, version="main"):
            # The API server tells of a changed schema a moment late.
            said = until(lambda: (each := cluster.diagnose())["findings"] and each)
    finally:
        cluster.install_keda()
    assert names(said) == {"keda-old"}, said
    assert "the CRD of ScaledObjects does not know spec.fallback.behavior" in evidence(said)


def test_keda_watches_another_namespace(cluster: Cluster) -> None:
    with operator(cluster, watch="other"):
        said = cluster.diagnose()
    assert names(said) == {"keda-not-watching"}, said
    assert "has WATCH_NAMESPACE=other; the release is in shop" in evidence(said)


def test_keda_never_looked_at_a_scaled_object(cluster: Cluster) -> None:
    cluster.patch(NAMESPACE, "scaledobject/stalk-worker-default", {"status": None}, "status")
    try:
        said = until(lambda: (each := cluster.diagnose())["findings"] and each)
    finally:
        cluster.install()
    assert names(said) == {"keda-not-watching"}, said
    assert "s old and KEDA has written no status" in evidence(said)


RIGHTS = {
    "events": "events",
    "services": "Services",
    "replicasets": "ReplicaSets",
    "horizontalpodautoscalers": "autoscalers",
    "networkpolicies": "NetworkPolicies",
    "scaledobjects": "ScaledObjects",
    "configmaps": "ConfigMaps",
}
NEEDED = {"pods", "deployments"}
"""Without these there is nothing to look at."""
LOGS = "pods/log"
"""Read of containers that have ended with an error; none runs here."""


@pytest.fixture(scope="module")
def role(cluster: Cluster) -> dict[str, Any]:
    """Bring the service account of `helm test` and its rights; return its Role."""
    words = ["template", "stalk", str(CHART), "-n", NAMESPACE, "--values", str(VALUES)]
    parts = [f"templates/doctor/{name}.yaml" for name in ("serviceaccount", "role", "rolebinding")]
    apis = ["--api-versions", "keda.sh/v1alpha1/ScaledObject"]
    shown = [word for part in parts for word in ("--show-only", part)]
    objects = list(yaml.safe_load_all(cluster.plane.run(str(HELM), *words, *apis, *shown)))
    cluster.apply(*objects)
    # What the broker reads is found by the volumes of its pod.
    volume = {"name": "config", "configMap": {"name": "stalk-rabbitmq"}}
    labels = {
        "app.kubernetes.io/name": "stalk",
        "app.kubernetes.io/part-of": "stalk",
        "app.kubernetes.io/instance": "stalk",
        "app.kubernetes.io/component": "rabbitmq",
    }
    container = {"name": "rabbitmq", "image": "rabbitmq:4-management"}
    pod = {"metadata": {"name": "stalk-rabbitmq-0", "namespace": NAMESPACE, "labels": labels}}
    cluster.apply(pod | {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [container], "volumes": [volume]}})
    return next(each for each in objects if each["kind"] == "Role")


def without(role: dict[str, Any], resource: str) -> dict[str, Any]:
    less = copy.deepcopy(role)
    for rule in less["rules"]:
        rule["resources"] = [each for each in rule["resources"] if each != resource]
    less["rules"] = [rule for rule in less["rules"] if rule["resources"]]
    return less


def unchecked(said: dict[str, Any]) -> set[str]:
    of_this_test = {"queues and workers", "the broker's management API"}
    return {each["what"] for each in said["unchecked"]} - of_this_test


def test_helm_tests_doctor_may_read_all_that_it_looks_at(
    cluster: Cluster, role: dict[str, Any], tmp_path: Path
) -> None:
    said = cluster.in_pod(tmp_path)
    assert names(said) == {"broker-unreachable", "redis-unreachable"}, said
    assert unchecked(said) == {"KEDA's operator"}, said
    assert {"scaler", "HPA", "pods"} <= set(said["ok_links"])


def test_helm_tests_doctor_has_no_right_that_it_does_not_need(role: dict[str, Any]) -> None:
    assert {each for rule in role["rules"] for each in rule["resources"]} == {*RIGHTS, *NEEDED, LOGS}


@pytest.mark.parametrize("resource", RIGHTS)
def test_a_right_that_it_lacks_is_said(cluster: Cluster, role: dict[str, Any], tmp_path: Path, resource: str) -> None:
    cluster.apply(without(role, resource))
    try:
        said = cluster.in_pod(tmp_path)
    finally:
        cluster.apply(role)
    assert unchecked(said) - {"KEDA's operator"} == {RIGHTS[resource]}, said


@pytest.mark.parametrize("resource", sorted(NEEDED))
def test_without_the_release_itself_there_is_nothing_to_say(
    cluster: Cluster, role: dict[str, Any], tmp_path: Path, resource: str
) -> None:
    cluster.apply(without(role, resource))
    try:
        with pytest.raises(AssertionError, match=rf"stalk doctor: GET /\S+/{resource} answered 403: Forbidden"):
            cluster.in_pod(tmp_path)
    finally:
        cluster.apply(role)
