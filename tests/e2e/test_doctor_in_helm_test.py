"""`helm test` runs the doctor: a release that is well passes, a warning is told, an error fails and is named."""

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client

from charting.rendering import merged
from e2e.harness import HELM, QUICK, Release

pytestmark = pytest.mark.timeout(480)

# A paused pool is a warning.
VALUES: dict[str, Any] = {
    "workers": {"still": {"queues": ["still"], "autoscaling": {"mode": "keda", "paused": True}}},
}
WRONG_QUEUE: dict[str, Any] = {
    "api": {"extraEnv": {"TASK_QUEUE": "nobodys"}},
    "test": {"doctor": {"waitSeconds": 0}},
}
SHORT: dict[str, Any] = {"rabbitmq": {"extraConfig": "consumer_timeout = 10000"}}


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(QUICK, VALUES)
    return made


def helm_test(release: Release) -> str:
    """Return what `helm test` prints, and the logs of its pods."""
    where = ["-n", release.namespace, "--timeout", "5m", "--logs"]
    return release.run(HELM, "test", release.name, *where, check=False)


def left(release: Release) -> set[str]:
    """Return the kinds of what there still is of the doctor."""
    selector = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=doctor"
    kinds = "pods,serviceaccounts,roles,rolebindings,networkpolicies"
    found = release.kubectl("get", kinds, "-l", selector, "-o", "name").split()
    return {name.partition("/")[0].partition(".")[0] for name in found}


def test_a_release_that_is_well_passes_and_a_warning_is_told(release: Release) -> None:
    said = helm_test(release)
    assert said.count("Phase:          Succeeded") == 7, said
    assert "WARN scaler: Workers stay at one number" in said
    assert "ScaledObject stalk-worker-still" in said
    assert "FAIL" not in said
    for link in ("API", "exchange", "queue", "worker", "result", "HPA", "pods"):
        assert f"ok   {link}: " in said
    assert "could not check KEDA's operator: its Deployment may not be listed" in said
    assert "returned" in said, "the round trip comes after it"
    assert left(release) == set()


def test_an_error_fails_it_and_is_named(release: Release) -> None:
    release.install(QUICK, VALUES, WRONG_QUEUE)
    said = helm_test(release)
    assert "queue-differs" in said, said
    assert "TASK_QUEUE is nobodys in stalk-api; the pools consume still, test-queue" in said
    assert "stalk-doctor failed" in said
    assert "returned" not in said, "nobody waits for a task that nobody takes"
    assert left(release) == {"pod"}, "for kubectl logs; its rights are gone"
    log = client.CoreV1Api().read_namespaced_pod_log("stalk-doctor", release.namespace)
    assert "queue-differs" in log
    for key in ("rabbitmq-password", "rabbitmq-monitor-password", "redis-password"):
        assert release.secret(key) not in log


def test_consumer_timeout_of_the_bundled_broker_is_read(release: Release) -> None:
    release.install(merged(QUICK, VALUES, SHORT))
    said = helm_test(release)
    assert "consumer-timeout" in said, said
    assert "consumer_timeout is 10 s (rabbitmq.conf of ConfigMap stalk-rabbitmq)" in said
    assert said.count("Phase:          Succeeded") == 7, "a warning is no failure"
