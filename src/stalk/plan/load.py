"""What a plan asks of RabbitMQ, Redis and the Kubernetes API, in its busiest minute.

What one task and one worker cost is measured: tests/integration/test_load.py compares it with a real broker and Redis.
What the cluster's own parts do is from their sources; docs/scale.md names them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stalk.plan.durations import Times
from stalk.plan.hpa import SYNC_SECONDS
from stalk.plan.pools import Pool, Site
from stalk.plan.simulation import Outcome

__all__ = ["EVENTS_A_TASK", "Line", "estimate"]

MINUTE = 60.0
CONNECTIONS_A_POD = 2
"""To RabbitMQ: one that consumes, one that sends events; the processes of the pool need none."""
CHANNELS_A_POD = 3
EVENTS_A_TASK = 3
"""task-received, task-started, task-succeeded."""
EVENT_SECONDS = 2.0
"""Between two worker-heartbeat events of a worker."""
AMQP_HEARTBEAT_SECONDS = 60.0
"""Celery's broker_heartbeat is 120 s, and each side sends at half of it."""
DELAYED_QUEUES = 28
"""celery_delayed_0…27, for all queues together."""
QUEUES_A_QUEUE = 2
"""Itself and its dead letters."""
REDIS_COMMANDS_A_TASK = 12
"""SET of the accepted note, GET of a revocation; for STARTED and the result GET, MULTI, SETEX, PUBLISH, EXEC each."""
REDIS_WRITES_A_TASK = 3
"""The accepted note, STARTED, the result. Each state of the task's own (PROGRESS) is one more, and 5 commands."""
REDIS_KEYS_A_TASK = 2
"""The result, and the accepted note."""
REDIS_BYTES_A_TASK = 500
"""Both keys with a result of a few words; what a result is longer comes on top."""
API_WRITES_A_POD = 20
"""Until it is gone. Measured: 7 events, 8 of itself, 5 of its ReplicaSet and Deployment."""
KEDA_API_QPS = 20.0
"""KEDA's --kube-api-qps."""


@dataclass(frozen=True)
class Line:
    """One figure."""

    part: str
    what: str
    value: float
    unit: str
    formula: str
    limit: str = ""
    """Set when the value is as much as the part does by default."""


@dataclass(frozen=True)
class _Busiest:
    """The highest of any minute, over all pools together."""

    arrivals: float
    """A second."""
    starts: float
    ends: float
    pods: int
    slots: int
    changes: float
    """Pods that were made, a second."""


def estimate(chosen: Sequence[tuple[Pool, Outcome]], site: Site, keep_seconds: float) -> list[Line]:
    """Return the load of all pools together.

    Args:
        chosen: each pool, and one run of it; all runs begin at the same moment.
        site: how often queues are counted.
        keep_seconds: how long Redis keeps a result.
    """
    busy = _busiest([(outcome, pool.concurrency) for pool, outcome in chosen])
    scaled = [pool for pool, _ in chosen if pool.mode == "keda"]
    queues = sum(len(pool.queues) for pool, _ in chosen)
    long = max(MINUTE, *(outcome.until for _, outcome in chosen))
    mean = sum(len(outcome.arrived) for _, outcome in chosen) / long
    counted = (CONNECTIONS_A_POD + CHANNELS_A_POD + 1) * busy.pods + QUEUES_A_QUEUE * queues + DELAYED_QUEUES
    polls = sum(len(pool.queues) / pool.polling for pool in scaled)
    patches = sum(1 / pool.polling for pool in scaled)
    syncs = len(scaled) / SYNC_SECONDS
    kept = mean * keep_seconds
    return [
        Line("RabbitMQ", "tasks published", busy.arrivals, "/s", "arrivals"),
        Line("RabbitMQ", "deliveries and acks", busy.starts + busy.ends, "/s", "starts + ends"),
        Line(
            "RabbitMQ",
            "event messages",
            EVENTS_A_TASK * busy.starts + busy.pods / EVENT_SECONDS,
            "/s",
            f"{EVENTS_A_TASK} a task + pods / {EVENT_SECONDS:g} s",
        ),
        Line("RabbitMQ", "connections", CONNECTIONS_A_POD * busy.pods, "", f"{CONNECTIONS_A_POD} a pod"),
        Line("RabbitMQ", "channels", CHANNELS_A_POD * busy.pods, "", f"{CHANNELS_A_POD} a pod"),
        Line(
            "RabbitMQ",
            "quorum queues",
            QUEUES_A_QUEUE * queues + DELAYED_QUEUES,
            "",
            f"{QUEUES_A_QUEUE} a queue + {DELAYED_QUEUES}",
        ),
        Line("RabbitMQ", "control queues", busy.pods, "", "1 a pod, classic"),
        Line(
            "RabbitMQ",
            "AMQP heartbeats",
            2 * CONNECTIONS_A_POD * busy.pods / AMQP_HEARTBEAT_SECONDS,
            "/s",
            f"2 a connection / {AMQP_HEARTBEAT_SECONDS:g} s",
        ),
        Line(
            "RabbitMQ",
            "statistics emitted",
            counted / site.statistics,
            "/s",
            f"(connections + channels + queues) / {site.statistics:g} s",
        ),
        Line(
            "management", "queue reads", polls + queues / SYNC_SECONDS, "/s", "queues / pollingInterval + queues / 15 s"
        ),
        Line("Redis", "commands", REDIS_COMMANDS_A_TASK * busy.starts, "/s", f"{REDIS_COMMANDS_A_TASK} a task"),
        Line(
            "Redis", "writes", REDIS_WRITES_A_TASK * busy.starts, "/s", f"{REDIS_WRITES_A_TASK} a task, each published"
        ),
        Line("Redis", "connections", busy.slots + 2 * busy.pods, "", "1 a slot and 2 a pod at most"),
        Line(
            "Redis", "keys", REDIS_KEYS_A_TASK * kept, "", f"{REDIS_KEYS_A_TASK} a task for {keep_seconds / 3600:g} h"
        ),
        Line("Redis", "memory", REDIS_BYTES_A_TASK * kept / 2**30, "GiB", f"{REDIS_BYTES_A_TASK} B a task"),
        Line(
            "Kubernetes API",
            "KEDA's status patches",
            patches,
            "/s",
            "active ScaledObjects / pollingInterval",
            f"all of KEDA's --kube-api-qps {KEDA_API_QPS:g}" if patches > 0.99 * KEDA_API_QPS else "",
        ),
        Line(
            "Kubernetes API",
            "autoscaler requests",
            2 * syncs + queues / SYNC_SECONDS,
            "/s",
            "(2 + queues) / 15 s a pool",
        ),
        Line("Kubernetes API", "pods made", busy.changes, "/s", "the busiest minute"),
        Line(
            "Kubernetes API",
            "writes for pods",
            API_WRITES_A_POD * busy.changes,
            "/s",
            f"about {API_WRITES_A_POD} a pod",
        ),
    ]


def _busiest(outcomes: Sequence[tuple[Outcome, int]]) -> _Busiest:
    end = max(outcome.until for outcome, _ in outcomes)
    edges = np.arange(0.0, end + 2 * MINUTE, MINUTE)

    def rate(times: Sequence[Times]) -> float:
        return float(np.histogram(np.concatenate(times), edges)[0].max()) / MINUTE

    moments = np.arange(0.0, end + 1.0, 1.0)
    pods = [(outcome.pods(moments), concurrency) for outcome, concurrency in outcomes]
    total = np.sum([each for each, _ in pods], axis=0)
    slots = np.sum([each * concurrency for each, concurrency in pods], axis=0)
    return _Busiest(
        arrivals=rate([outcome.arrived for outcome, _ in outcomes]),
        starts=rate([outcome.started for outcome, _ in outcomes]),
        ends=rate([outcome.ended for outcome, _ in outcomes]),
        pods=int(total.max()),
        slots=int(slots.max()),
        changes=rate([outcome.created[outcome.created > 0] for outcome, _ in outcomes]),
    )
