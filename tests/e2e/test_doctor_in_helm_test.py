"""`helm test` runs the doctor: a release that is well passes, a warning is told, an error fails and is named."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from charting.rendering import merged
from e2e.harness import HELM, QUICK, Release
from integration.harness import Background

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


@dataclass
class Outcome:
    """What `helm test` printed, and what the doctor said in its pod, which is gone after a success."""

    said: str
    log: str = ""


def helm_test(release: Release) -> Outcome:
    outcome = Outcome("")

    def listen(end: threading.Event) -> None:
        while not end.wait(0.3):
            with suppress(ApiException):  # not there yet, or not any more
                outcome.log = client.CoreV1Api().read_namespaced_pod_log("stalk-doctor", release.namespace)

    with Background(listen):
        words = ["test", release.name, "-n", release.namespace, "--timeout", "5m"]
        outcome.said = release.run(HELM, *words, check=False)
    for key in ("rabbitmq-password", "rabbitmq-monitor-password", "redis-password"):
        assert release.secret(key) not in outcome.log
    return outcome


def left(release: Release) -> set[str]:
    """Return the kinds of what there still is of the doctor."""
    selector = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=doctor"
    kinds = "pods,serviceaccounts,roles,rolebindings,networkpolicies"
    found = release.kubectl("get", kinds, "-l", selector, "-o", "name").split()
    return {name.partition("/")[0].partition(".")[0] for name in found}


def succeeded(outcome: Outcome) -> bool:
    """Tell whether the doctor's five objects and the round trip's three came to a good end."""
    return outcome.said.count("Phase:          Succeeded") == 8


def test_a_release_that_is_well_passes_and_a_warning_is_told(release: Release) -> None:
    outcome = helm_test(release)
    assert succeeded(outcome), outcome
    assert "WARN scaler: Workers stay at one number" in outcome.log
    assert "ScaledObject stalk-worker-still" in outcome.log
    assert "FAIL " not in outcome.log
    for link in ("API", "exchange", "queue", "worker", "result", "HPA", "pods"):
        assert f"ok   {link}: " in outcome.log
    assert "could not check KEDA's operator: its Deployment may not be listed" in outcome.log
    assert left(release) == set()


def test_an_error_fails_it_and_is_named(release: Release) -> None:
    release.install(QUICK, VALUES, WRONG_QUEUE)
    outcome = helm_test(release)
    assert "Phase:          Failed" in outcome.said, outcome
    assert "FAIL API: Tasks are accepted, and no worker takes them." in outcome.log
    assert "TASK_QUEUE is nobodys in stalk-api; the pools consume test-queue, still" in outcome.log
    assert outcome.log.count("FAIL ") == 1
    assert "stalk-test" not in release.kubectl("get", "pods", "-o", "name"), "nobody waits for a task in that queue"
    assert "pod" in left(release), "for kubectl logs"


def test_consumer_timeout_of_the_bundled_broker_is_read(release: Release) -> None:
    release.install(merged(QUICK, VALUES, SHORT))
    outcome = helm_test(release)
    assert "consumer_timeout is 10 s (rabbitmq.conf of ConfigMap stalk-rabbitmq)" in outcome.log, outcome
    assert "FAIL " not in outcome.log
    assert succeeded(outcome), "a warning is no failure"
    assert left(release) == set(), "what the failure before has left is gone as well"
