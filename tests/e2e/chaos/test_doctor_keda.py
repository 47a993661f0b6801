"""`stalk doctor` while KEDA itself is in trouble, which is everybody's trouble on that cluster: for minutes only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes import client

from charting.rendering import merged
from e2e.chaos.faults import scaled_away
from e2e.chaos.node import NotAllowed
from e2e.diagnosis import diagnose, evidence, names
from e2e.harness import QUICK, Release, of_this_cluster, submit, until, wait_for_all

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

POOLS: dict[str, Any] = {
    "workers": {
        "default": {"queues": ["test-queue"], "autoscaling": {"mode": "keda", "max": 1, "cooldownPeriod": 1}},
        "leaving": {"queues": ["leaving"], "autoscaling": {"mode": "keda", "max": 1}},
    }
}
LATE: dict[str, Any] = {"workers": {"late": {"queues": ["late"], "autoscaling": {"mode": "keda", "max": 1}}}}


@pytest.fixture(scope="module")
def watched(namespace: str, kube_config: str) -> Iterator[Release]:
    """Give a release of this module's own that has worked, and has come to rest."""
    made = Release("doctor", namespace, kube_config)
    made.install(QUICK, POOLS)
    with made.api() as http:
        wait_for_all(http, [submit(http)])
    until(lambda: made.replicas() == 0 and made.condition("Active") == "False")
    assert diagnose(made)["findings"] == []
    yield made
    made.uninstall()


def test_operator_away(watched: Release) -> None:
    try:
        with scaled_away(watched, "keda-operator"):
            watched.kubectl("delete", "scaledobject", "doctor-stalk-worker-leaving", "--wait=false")
            said = until(lambda: "stuck-finalizer" in names(each := diagnose(watched)) and each)
            assert names(said) == {"keda-down", "stuck-finalizer"}, said
            assert "has no ready pod" in evidence(said, "keda-down")
            assert "scaledobject doctor-stalk-worker-leaving is being deleted for" in evidence(said, "stuck-finalizer")
            assert "finalizers: finalizer.keda.sh" in evidence(said, "stuck-finalizer")

            # Nobody takes it back to zero.
            watched.kubectl("scale", "deployment/doctor-stalk-worker-default", "--replicas=1")
            said = until(lambda: "never-zero" in names(each := diagnose(watched)) and each)
            assert "longer than the cooldown of 1 s" in evidence(said, "never-zero")
            # The autoscaler that KEDA has made asks the operator as well.
            assert names(said) <= {"keda-down", "stuck-finalizer", "never-zero", "hpa-unknown-metric"}, said
    except NotAllowed as error:
        pytest.skip(str(error))
    until(lambda: diagnose(watched)["findings"] == [])


def test_operator_that_watches_another_namespace(watched: Release) -> None:
    with watching(watched, "default"):
        values = merged(watched.values, LATE)
        watched.install(values)
        said = diagnose(watched)
        assert names(said) == {"keda-not-watching"}, said
        assert f"WATCH_NAMESPACE=default; the release is in {watched.namespace}" in evidence(said, "keda-not-watching")
        assert "status" not in watched.scaled_object("late"), "it is true"
    until(lambda: watched.condition("Ready", "late") == "True")
    assert diagnose(watched)["findings"] == []


@contextmanager
def watching(release: Release, namespace: str) -> Iterator[None]:
    """Let KEDA's operator look at one namespace alone."""
    keda = of_this_cluster().get("keda", {}).get("namespace", "keda")
    may = release.run("kubectl", "auth", "can-i", "patch", "deployments", "-n", keda, check=False)
    if "yes" not in may:
        pytest.skip(f"changing Deployments in the namespace {keda} is not allowed")
    found = client.AppsV1Api().list_namespaced_deployment(keda, label_selector="app=keda-operator").items
    assert found, f"no Deployment with the label app=keda-operator in the namespace {keda}"
    assert found[0].metadata is not None
    target = ["kubectl", "-n", keda, "set", "env", f"deployment/{found[0].metadata.name}"]
    rolled = ["kubectl", "-n", keda, "rollout", "status", f"deployment/{found[0].metadata.name}", "--timeout=180s"]
    try:
        release.run(*target, f"WATCH_NAMESPACE={namespace}")
        release.run(*rolled)
        yield
    finally:
        release.run(*target, "WATCH_NAMESPACE=")
        release.run(*rolled)
