"""`stalk doctor` on an API server of the test's own: KEDA absent or old, and what the doctor of `helm test` may read.

Nobody else's cluster can be without KEDA for that long. Nothing acts on the objects here: no pod ever runs, and what a
controller would write into a status is written by the test.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from charting.rendering import CHART
from e2e.diagnosis import evidence, names
from e2e.harness import HELM, until
from e2e.own_cluster import NAMESPACE, Cluster, _timeline, namespace
from kube import external_metrics
from kube.control_plane import missing, running
from kube.keda import SPECS

__all__ = ["_timeline", "namespace"]

pytestmark = pytest.mark.timeout(480)

VALUES = CHART / "ci" / "existing-secrets.yaml"
SECRETS = {
    "my-rabbitmq": ("app", "reader", "rabbitmq-worker-password"),
    "my-redis": ("app",),
    "my-flower": ("flower-password",),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    secrets = {name: dict.fromkeys(keys, "a-password") for name, keys in SECRETS.items()}
    with running(tmp_path_factory.mktemp("control-plane")) as plane, external_metrics.served(plane) as api:
        made = Cluster(plane, yaml.safe_load(VALUES.read_text(encoding="utf-8")), secrets, api)
        made.install()
        made.seen_by_keda()
        yield made


def test_nothing_is_wrong_with_what_kubernetes_has(cluster: Cluster) -> None:
    said = cluster.diagnose()
    assert said["findings"] == [], said
    assert {"scaler", "HPA", "pods"} <= set(said["ok_links"])
    assert [each["what"] for each in said["unchecked"]] == ["broker, Redis and workers"], "no pod runs here"


@contextmanager
def without_kinds(cluster: Cluster) -> Iterator[None]:
    """Take KEDA's kinds away, and with them all that is of them."""
    cluster.plane.kubectl("delete", "crd", "scaledobjects.keda.sh", "triggerauthentications.keda.sh", "--wait")
    try:
        yield
    finally:
        cluster.install_keda()
        cluster.plane.run(str(HELM), "uninstall", "stalk", "-n", NAMESPACE)
        cluster.install()
        cluster.seen_by_keda()


def test_kedas_kinds_are_gone(cluster: Cluster) -> None:
    with without_kinds(cluster):
        said = cluster.diagnose()
    assert names(said) == {"keda-absent"}, said
    assert "the API server knows no kind ScaledObject (keda.sh/v1alpha1)" in evidence(said)
    assert said["exit_code"] == 1


def test_kedas_kinds_were_never_there_and_nobody_wants_them(cluster: Cluster) -> None:
    """A release that is scaled by CPU needs no KEDA."""
    cluster.install({"workers": {"default": {"autoscaling": {"mode": "hpa"}}}})
    with without_kinds(cluster):
        said = cluster.diagnose()
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
    with cluster.operator(ready=0):
        said = cluster.diagnose()
    assert names(said) == {"keda-down"}, said


def test_kedas_operator_is_old(cluster: Cluster) -> None:
    with cluster.operator(version="2.14.1"):
        said = cluster.diagnose()
    assert names(said) == {"keda-old"}, said
    assert "keda/keda-operator is KEDA 2.14" in evidence(said)


def test_kedas_kinds_are_old(cluster: Cluster) -> None:
    """An operator that was built by hand has no version; what its CRDs do not know is dropped without a word."""
    old = copy.deepcopy(SPECS)
    del old["keda.sh/v1alpha1/ScaledObject"]["properties"]["fallback"]["properties"]["behavior"]
    cluster.install_keda(old)
    try:
        with cluster.operator(version="main"):
            # The API server tells of a changed schema a moment late.
            said = until(lambda: (each := cluster.diagnose())["findings"] and each)
    finally:
        cluster.install_keda()
    assert names(said) == {"keda-old"}, said
    assert "the CRD of ScaledObjects does not know spec.fallback.behavior" in evidence(said)


def test_keda_watches_another_namespace(cluster: Cluster) -> None:
    with cluster.operator(watch="other"):
        said = cluster.diagnose()
    assert names(said) == {"keda-not-watching"}, said
    assert "has WATCH_NAMESPACE=other; the release is in shop" in evidence(said)


def test_keda_never_looked_at_a_scaled_object(cluster: Cluster) -> None:
    cluster.patch(NAMESPACE, "scaledobject/stalk-worker-default", {"status": None}, "status")
    try:
        said = until(lambda: (each := cluster.diagnose())["findings"] and each)
    finally:
        cluster.seen_by_keda()
    assert names(said) == {"keda-not-watching"}, said
    assert "s old and KEDA has written no status" in evidence(said)


@contextmanager
def metrics_api(cluster: Cluster) -> Iterator[external_metrics.MetricsApi]:
    """Let the API of external metrics be changed for a while."""
    try:
        yield cluster.metrics_api
    finally:
        cluster.metrics_api.belong()
        cluster.metrics_api.await_available()


def test_there_is_no_api_of_external_metrics(cluster: Cluster) -> None:
    with metrics_api(cluster) as api:
        api.remove()
        said = cluster.diagnose()
    assert names(said) == {"external-metrics-api"}, said
    assert evidence(said) == "there is no APIService v1beta1.external.metrics.k8s.io"


def test_the_api_of_external_metrics_does_not_answer(cluster: Cluster) -> None:
    with metrics_api(cluster) as api:
        api.belong(port=1)
        api.await_available(answer=False)
        said = cluster.diagnose()
    assert names(said) == {"external-metrics-api"}, said
    assert "of Service keda/keda-operator-metrics-apiserver is not Available: FailedDiscoveryCheck: " in evidence(said)


def test_the_api_of_external_metrics_is_somebody_elses(cluster: Cluster) -> None:
    with metrics_api(cluster) as api:
        api.belong(("monitoring", "prometheus-adapter"))
        api.await_available()
        said = cluster.diagnose()
    assert names(said) == {"external-metrics-api"}, said
    assert "belongs to Service monitoring/prometheus-adapter" in evidence(said)


@contextmanager
def unread_metric(cluster: Cluster) -> Iterator[None]:
    """Have the autoscaler that KEDA makes, which cannot read its metric."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "stalk-worker-default"}
    metadata = {"name": "keda-hpa-stalk-worker-default", "namespace": NAMESPACE}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 10}
    kind = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    cluster.apply(kind | {"metadata": metadata, "spec": spec})
    said = {"type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric", "message": "no metrics"}
    status = {"desiredReplicas": 1, "currentMetrics": None, "conditions": [said]}
    cluster.patch(NAMESPACE, f"hpa/{metadata['name']}", {"status": status}, "status")
    try:
        yield
    finally:
        cluster.kubectl("delete", "hpa", metadata["name"])


def test_helm_tests_doctor_says_what_it_may_not_read_of_the_api_where_it_matters(
    cluster: Cluster, role: dict[str, Any], tmp_path: Path
) -> None:
    with unread_metric(cluster):
        said = cluster.in_pod(tmp_path)
    assert "hpa-unknown-metric" in names(said), said
    assert unchecked(said) == {"KEDA's operator", "the API of external metrics"}, said


RIGHTS = {
    "events": "events",
    "namespaces": "the namespace",
    "services": "Services",
    "replicasets": "ReplicaSets",
    "horizontalpodautoscalers": "autoscalers",
    "networkpolicies": "NetworkPolicies",
    "scaledobjects": "ScaledObjects",
    "triggerauthentications": "TriggerAuthentications",
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
