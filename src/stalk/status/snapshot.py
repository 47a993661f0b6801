"""One look at a release: its pools, what waits for them, and how many workers there are."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stalk.celery.queues import dead_letter_queue_name
from stalk.doctor.cluster import AUTOSCALING, Cluster, Json, happened, name_of, queues_of_worker

__all__ = ["Pool", "Snapshot", "look"]

RESCALES = {"SuccessfulRescale", "KEDAScaleTargetActivated", "KEDAScaleTargetDeactivated", "ScalingReplicaSet"}


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of workers. Numbers that nobody could tell are None."""

    name: str
    queues: Sequence[str]
    ready: int | None
    """Messages that wait."""
    unacknowledged: int | None
    """Messages that a worker has."""
    rate: float | None
    """Tasks acknowledged a second."""
    dead_letters: int | None
    replicas: int
    """Pods that are ready."""
    wanted: int
    minimum: int | None
    maximum: int | None
    active: Sequence[str] | None = ()
    """KEDA's triggers that ask for workers."""
    last_event: str | None = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The pools at one moment."""

    at: float
    """As `time.time()`."""
    pools: Sequence[Pool]
    problem: str = ""
    """Why queue lengths are missing."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """What else could not be read, such as `ScaledObjects`, and why."""

    def kept(self, why: str) -> "Snapshot":
        """Return this one for a later moment that could not be looked at."""
        at = time.strftime("%H:%M:%S", time.localtime(self.at))
        return replace(self, unread={**self.unread, "Kubernetes": f"{why}; this is as of {at}"})

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Bounds:
    minimum: int | None
    maximum: int | None
    active: list[str] | None = field(default_factory=list)


def look(cluster: Cluster, queues: Mapping[str, Json] | None, at: float, problem: str = "") -> Snapshot:
    """Make a snapshot.

    Args:
        cluster: what Kubernetes says.
        queues: what RabbitMQ's management API says of each queue of the release; None: it could not be asked.
        at: now, as `time.time()`.
        problem: why it could not.
    """
    pools = [_pool(cluster, deployment, queues) for deployment in cluster.workers()]
    return Snapshot(at, sorted(pools, key=lambda pool: pool.name), problem, dict(cluster.unread))


def _pool(cluster: Cluster, deployment: Json, queues: Mapping[str, Json] | None) -> Pool:
    name, consumed = name_of(deployment), queues_of_worker(deployment)
    wanted = int(deployment["spec"].get("replicas") or 0)
    bounds = _bounds(cluster, deployment) or _Bounds(wanted, wanted)
    dead = [dead_letter_queue_name(queue) for queue in consumed]
    return Pool(
        name=str(deployment["metadata"]["labels"].get("stalk/pool") or name),
        queues=consumed,
        ready=_sum(queues, consumed, "messages_ready"),
        unacknowledged=_sum(queues, consumed, "messages_unacknowledged"),
        rate=_rate(queues, consumed),
        dead_letters=_sum(queues, dead, "messages"),
        replicas=int((deployment.get("status") or {}).get("readyReplicas") or 0),
        wanted=wanted,
        minimum=bounds.minimum,
        maximum=bounds.maximum,
        active=bounds.active,
        last_event=_last_event(cluster, deployment),
    )


def _bounds(cluster: Cluster, deployment: Json) -> _Bounds | None:
    """Return between how many replicas something scales a pool; None: nothing does."""
    name, mode = name_of(deployment), (deployment["metadata"].get("annotations") or {}).get(AUTOSCALING)
    for each in cluster.scaled_objects or ():
        if each["spec"]["scaleTargetRef"]["name"] == name:
            activity: Json = (each.get("status") or {}).get("triggersActivity") or {}
            active = sorted(trigger for trigger, state in activity.items() if state.get("isActive"))
            spec = each["spec"]
            return _Bounds(int(spec.get("minReplicaCount") or 0), int(spec.get("maxReplicaCount") or 100), active)
    hidden = "ScaledObjects" in cluster.unread and mode not in ("hpa", "none")
    for each in cluster.autoscalers:
        if each["spec"]["scaleTargetRef"]["name"] == name:
            least, most = int(each["spec"].get("minReplicas") or 1), int(each["spec"]["maxReplicas"])
            # KEDA's own never has less than one, whatever its ScaledObject says.
            return _Bounds(None, most, None) if hidden else _Bounds(least, most)
    if hidden or ("autoscalers" in cluster.unread and mode not in ("keda", "none")):
        return _Bounds(None, None, None)
    return None


def _sum(queues: Mapping[str, Json] | None, names: Sequence[str], key: str) -> int | None:
    if queues is None or any(key not in queues.get(name, {}) for name in names):
        return None
    return sum(int(queues[name][key]) for name in names)


def _rate(queues: Mapping[str, Json] | None, names: Sequence[str]) -> float | None:
    if queues is None or any(name not in queues for name in names):
        return None
    found = [(queues[name].get("message_stats") or {}).get("ack_details") or {} for name in names]
    return float(sum(each.get("rate") or 0 for each in found))


def _last_event(cluster: Cluster, deployment: Json) -> str | None:
    """Return the newest event that tells of a number of replicas; None: it may be one that could not be read."""
    if "events" in cluster.unread:
        return None
    targets = {name_of(deployment), f"keda-hpa-{name_of(deployment)}"}
    found = [
        event
        for event in cluster.events
        if event.get("reason") in RESCALES and event["involvedObject"].get("name") in targets
    ]
    if not found:
        return ""
    newest = max(found, key=happened)
    age = cluster.age(happened(newest))
    return f"{newest.get('message', '')} ({age or 0:.0f} s ago)"
