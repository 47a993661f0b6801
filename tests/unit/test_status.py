"""`stalk status`, on a release recorded from a real cluster."""

import copy
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kube.release import ServedRelease
from stalk.doctor.cluster import AUTOSCALING, Cluster
from stalk.doctor.sources.kubernetes import Kubernetes
from stalk.doctor.sources.service_account import ServiceAccount
from stalk.status.plot import draw
from stalk.status.snapshot import Snapshot, look
from stalk.status.table import text

RELEASE: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "release.json").read_text())
NOW = datetime(2026, 11, 25, 15, 18, tzinfo=UTC)
QUEUES: dict[str, dict[str, Any]] = {
    "test-queue": {
        "messages_ready": 7,
        "messages_unacknowledged": 2,
        "messages": 9,
        "message_stats": {"ack_details": {"rate": 1.5}},
    },
    "test-queue.dead-letters": {"messages": 3},
}


def busy() -> Cluster:
    """The release while it scales out."""
    cluster = Cluster(now=NOW, **copy.deepcopy(RELEASE))
    assert cluster.scaled_objects
    cluster.scaled_objects[0]["status"]["triggersActivity"] = {"s0-rabbitmq-test-queue": {"isActive": True}}
    worker = next(each for each in cluster.deployments if each["metadata"]["name"] == "stalk-worker-default")
    worker["spec"]["replicas"], worker["status"]["readyReplicas"] = 9, 4
    cluster.events = [
        {
            "involvedObject": {"name": name},
            "reason": "SuccessfulRescale",
            "message": message,
            "lastTimestamp": f"2026-11-25T15:{at}:00Z",
        }
        for name, at, message in (
            ("keda-hpa-stalk-worker-default", "16", "New size: 9"),
            ("keda-hpa-stalk-worker-default", "15", "New size: 4"),
            ("somebody-else", "17", "New size: 1"),
        )
    ]
    return cluster


def test_a_snapshot_has_everything_of_a_pool() -> None:
    (pool,) = look(busy(), QUEUES, 1.0).pools
    assert (pool.name, pool.queues) == ("default", ["test-queue"])
    assert (pool.ready, pool.unacknowledged, pool.rate, pool.dead_letters) == (7, 2, 1.5, 3)
    assert (pool.replicas, pool.wanted, pool.minimum, pool.maximum) == (4, 9, 0, 10)
    assert pool.active == ["s0-rabbitmq-test-queue"]
    assert pool.last_event == "New size: 9 (120 s ago)"


def test_what_nobody_can_tell_is_a_question_mark_and_not_zero() -> None:
    snapshot = look(busy(), None, 1.0, "no answer in time")
    assert snapshot.pools[0].ready is None
    head, line, problem = text(snapshot).splitlines()
    assert head.split()[:6] == ["POOL", "QUEUES", "READY", "UNACKED", "RATE/S", "DEAD"]
    assert line.split()[:7] == ["default", "test-queue", "?", "?", "?", "?", "4"]
    assert problem == "queue lengths: no answer in time"
    without_metrics: dict[str, dict[str, Any]] = {"test-queue": {"name": "test-queue"}}
    assert look(busy(), without_metrics, 1.0).pools[0].ready is None


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_draws_what_was_watched(tmp_path: Path, ending: str) -> None:
    looks: list[Snapshot] = [look(busy(), QUEUES, at) for at in (1.0, 2.0)] + [look(busy(), None, 3.0)]
    file = tmp_path / f"status.{ending}"
    draw(looks, file)
    assert file.stat().st_size > 5000
    if ending == "svg":
        assert "<!-- queued and running tasks -->" in file.read_text()


@pytest.mark.parametrize("command", ["doctor", "status"])
def test_no_cluster_is_a_line(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "stalk"), command, "--namespace", "x"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == {"doctor": 2, "status": 1}[command]
    assert done.stderr.startswith(f"stalk {command}: no kubeconfig that can be used: ")
    assert done.stderr.count("\n") == 1


def test_a_look_reads_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--watch` it is a look every two seconds of everybody who watches."""
    served = ServedRelease(tmp_path)
    served.forbidden = {"pods", "replicasets", "networkpolicies", "configmaps", "log"}
    with served.in_this_process(monkeypatch):
        kubernetes = Kubernetes(ServiceAccount(served.namespace))
        read = kubernetes.scaling(None, time.monotonic())
    assert len(served.requests) == 5
    assert not kubernetes.refused
    whole = Cluster(now=NOW, **RELEASE)
    assert [(pool.name, pool.queues, pool.maximum) for pool in look(read, None, 0).pools] == [
        (pool.name, pool.queues, pool.maximum) for pool in look(whole, None, 0).pools
    ]


@pytest.mark.parametrize(
    ("forbidden", "mode", "bounds", "active"),
    [
        (set(), "", (0, 10), []),
        ({"scaledobjects"}, "", (None, 10), None),
        ({"scaledobjects"}, "keda", (None, 10), None),
        ({"scaledobjects", "horizontalpodautoscalers"}, "", (None, None), None),
        ({"horizontalpodautoscalers"}, "keda", (0, 10), []),
        ({"scaledobjects"}, "hpa", (1, 10), []),
        ({"horizontalpodautoscalers"}, "hpa", (None, None), None),
        ({"scaledobjects", "horizontalpodautoscalers"}, "none", (2, 2), []),
    ],
)
def test_bounds_that_may_not_be_read_are_not_made_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forbidden: set[str],
    mode: str,
    bounds: tuple[int | None, int | None],
    active: list[str] | None,
) -> None:
    served = ServedRelease(tmp_path)
    served.forbidden = forbidden
    worker = served.deployment("stalk-worker-default")
    worker["metadata"].setdefault("annotations", {})[AUTOSCALING] = mode
    worker["spec"]["replicas"] = 2
    if mode in ("hpa", "none"):
        served.objects["scaledobjects"] = []
    with served.in_this_process(monkeypatch):
        (pool,) = look(Kubernetes(ServiceAccount(served.namespace)).scaling(None, time.monotonic()), {}, 0).pools
    assert (pool.minimum, pool.maximum) == bounds
    assert pool.active == active
    assert pool.wanted == 2


def test_what_may_not_be_read_is_a_question_mark_until_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = ServedRelease(tmp_path)
    served.forbidden = {"scaledobjects", "horizontalpodautoscalers", "events"}
    with served.in_this_process(monkeypatch):
        kubernetes = Kubernetes(ServiceAccount(served.namespace))
        snapshot = look(kubernetes.scaling(None, time.monotonic()), {}, 0)
        served.forbidden = set()
        again = look(kubernetes.scaling(None, time.monotonic()), {}, 0)
    _, line, *said = text(snapshot).splitlines()
    assert line.split() == ["default", "test-queue", "?", "?", "?", "?", "0", "0", "?", "?", "?", "?"]
    assert {each.partition(": GET ")[0] for each in said} == {"ScaledObjects", "autoscalers", "events"}
    assert all("answered 403: Forbidden" in each for each in said)
    assert text(again).splitlines()[1].split()[-4:] == ["0", "10", "-", "-"]
    assert not again.unread
    assert snapshot.as_json()["pools"][0]["minimum"] is None
