"""Events of a busy namespace: pods have thousands, and those of what scales them come last."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kube.release import ServedRelease
from stalk.doctor.checks import keda, pods
from stalk.doctor.release import kubernetes_says
from stalk.doctor.sources.kubernetes import MOST_EVENTS, Kubernetes
from stalk.doctor.sources.service_account import ServiceAccount
from stalk.status.snapshot import look

WORKER = "stalk-worker-default"


def event(name: str, kind: str, reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{name}.{reason.lower()}"},
        "involvedObject": {"kind": kind, "name": name},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **more,
    }


def busy(number: int, **more: Any) -> list[dict[str, Any]]:
    """Return events of pods that others have, whose names come first."""
    return [event(f"another-{at:05d}", "Pod", "BackOff", **more) for at in range(number)]


@pytest.fixture
def served(tmp_path: Path) -> ServedRelease:
    return ServedRelease(tmp_path)


def not_ready(served: ServedRelease) -> list[dict[str, Any]]:
    """Break the pool's scaler and a probe of the API; return what is told of it in events alone."""
    status = served.objects["scaledobjects"][0]["status"]
    status["conditions"] = [{"type": "Ready", "status": "False", "reason": "TriggerError", "message": "not working"}]
    pod = served.objects["pods"][0]
    pod["status"]["containerStatuses"][0]["ready"] = False
    return [
        event(WORKER, "ScaledObject", "KEDAScalerFailed", "error requesting: 404 Not Found"),
        event(pod["metadata"]["name"], "Pod", "Unhealthy", "Readiness probe failed: statuscode: 503"),
    ]


def test_what_stands_behind_the_events_of_others_is_found(
    served: ServedRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.objects["events"] = busy(1200) + not_ready(served) + busy(3000, type="Normal")
    with served.in_this_process(monkeypatch):
        cluster, unchecked = kubernetes_says(Kubernetes(ServiceAccount(served.namespace)), None, time.monotonic())
    assert "scaler-missing-queue" in {each.id for each in keda.check(cluster, {})}
    assert "probe-failing" in {each.id for each in pods.check(cluster)}
    assert served.lists.count("events") == 3 + 1, "pages of 500 warnings, and what the kubelet kills"
    assert [each.what for each in unchecked if "events" in each.what] == []


def test_what_was_left_out_is_said(served: ServedRelease, monkeypatch: pytest.MonkeyPatch) -> None:
    served.objects["events"] = busy(MOST_EVENTS + 1) + not_ready(served)
    with served.in_this_process(monkeypatch):
        cluster, unchecked = kubernetes_says(Kubernetes(ServiceAccount(served.namespace)), None, time.monotonic())
    (said,) = [each for each in unchecked if "events" in each.what]
    assert said.what == "all events"
    assert said.why == f"only the first {MOST_EVENTS} were read, in the order of their objects' names"
    assert len(cluster.events) == MOST_EVENTS


def test_a_page_that_fails_leaves_those_before_it(served: ServedRelease, monkeypatch: pytest.MonkeyPatch) -> None:
    served.objects["events"] = busy(700)
    with served.in_this_process(monkeypatch):
        kubernetes = Kubernetes(ServiceAccount(served.namespace))
        get = kubernetes.get

        def expired(path: str, **query: Any) -> dict[str, Any]:
            if "continue" in query:
                served.faults = [410]
            return get(path, **query)

        monkeypatch.setattr(kubernetes, "get", expired)
        found = kubernetes._events("type=Warning")
    assert len(found) == 500
    assert "410" in kubernetes.cut["events"]
    assert not kubernetes.refused


def test_status_finds_the_last_change_of_replicas_in_one_page(
    served: ServedRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.objects["events"] = [
        *busy(2000),
        *busy(2000, type="Normal"),
        event(f"{WORKER}-5d8f", "ReplicaSet", "SuccessfulCreate", "Created pod", type="Normal"),
        event(f"keda-hpa-{WORKER}", "HorizontalPodAutoscaler", "SuccessfulRescale", "New size: 9", type="Normal"),
    ]
    with served.in_this_process(monkeypatch):
        read = Kubernetes(ServiceAccount(served.namespace)).scaling(None, time.monotonic())
    assert "New size: 9" in (look(read, None, 0).pools[0].last_event or "")
    assert (served.lists.count("events"), len(read.events)) == (1, 1)
