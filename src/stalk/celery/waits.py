"""How long tasks wait from the moment they are accepted until a worker starts them.

The one who sends a task writes into the message when it may start (`DUE`); the worker that starts it knows how long
that was ago. Workers come and go, so no number may live in one: each adds what it has counted to a hash in the result
store, once in a few seconds and not for each task, and `stalk exporter` shows the sums to Prometheus. They are there
with workers at zero, and go on where they were whoever restarts.

The hash `WAITS_KEY` has the fields `<bound>|<queue>`, tasks that waited at most so many seconds and longer than the
bound before; `sum|<queue>`, seconds; and `redelivered|<queue>`, tasks that RabbitMQ had delivered before.
"""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from celery.utils.log import get_logger
from redis import Redis
from redis.exceptions import RedisError

from stalk.celery.keys import WAITS_KEY
from stalk.celery.state import COMMAND_SECONDS

__all__ = ["BOUNDS", "DUE", "FLUSH_SECONDS", "REDELIVERED", "SUM", "Waits", "due", "queue_of", "started"]

log = get_logger(__name__)

DUE = "stalk_due"
"""The message header that says when a task may start, in seconds since 1970: when it was sent, or its ETA."""
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, float("inf"))
"""Seconds. A warm worker starts a task within the first few; a pod that must come, a node, and a backlog are above."""
SUM = "sum"
REDELIVERED = "redelivered"
FLUSH_SECONDS = 4.0
"""Pause between two writes: what a worker that is killed has not told yet."""

_counts: Counter[str] = Counter()
_sums: dict[str, float] = {}
_lock = threading.Lock()


def due(eta: str | None) -> float:
    """Return when a task that is sent now may start.

    Args:
        eta: the message's own header of this name, ISO 8601, or None.
    """
    now = time.time()
    return now if eta is None else max(now, datetime.fromisoformat(eta).timestamp())


def queue_of(routing_key: str, queues: Iterable[str]) -> str:
    """Return the queue that a message was taken from.

    A message that was delayed still has the bits of its delay before the queue's name. The key itself where no queue
    fits: it was bound by somebody else.
    """
    return next((name for name in queues if f".{routing_key}".endswith(f".{name}")), routing_key)


def started(headers: dict[str, Any], queue: str, redelivered: bool, at: float) -> None:
    """Count a task that starts.

    A message that was delivered before is counted as such and not timed: its task may have run already, and that is no
    waiting. Clocks of two machines may differ: what seems to start before it was sent counts as no wait at all.

    Args:
        headers: the message's.
        queue: where it waited.
        redelivered: as RabbitMQ says.
        at: seconds since 1970.
    """
    with _lock:
        if redelivered:
            _counts[f"{REDELIVERED}|{queue}"] += 1
        elif isinstance(sent := headers.get(DUE), int | float):
            waited = max(0.0, at - sent)
            _counts[f"{BOUNDS[bisect_left(BOUNDS, waited)]}|{queue}"] += 1
            _add(_sums, {f"{SUM}|{queue}": waited})


def _add(sums: dict[str, float], more: dict[str, float]) -> None:
    for field, seconds in more.items():
        sums[field] = sums.get(field, 0.0) + seconds


def _take() -> tuple[dict[str, int], dict[str, float]]:
    with _lock:
        taken = dict(_counts), dict(_sums)
        _counts.clear()
        _sums.clear()
    return taken


def _give_back(counts: dict[str, int], sums: dict[str, float]) -> None:
    with _lock:
        _counts.update(counts)
        _add(_sums, sums)


class Waits:
    """A thread that adds what this process has counted to the sums in the result store.

    Args:
        url: where Redis is.
    """

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url, socket_timeout=COMMAND_SECONDS, socket_connect_timeout=COMMAND_SECONDS)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="stalk-waits", daemon=True)

    def start(self) -> None:
        """Begin; Redis need not be up."""
        self._thread.start()

    def end(self) -> None:
        """Write what is left, as far as Redis can be reached, and end; returns without waiting for it."""
        self._end.set()

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        self._thread.join(seconds)

    def flush(self) -> None:
        """Write what was counted; keep it where Redis is away."""
        counts, sums = _take()
        if not counts:
            return
        try:
            pipeline = self._client.pipeline(transaction=True)
            for field, count in counts.items():
                pipeline.hincrby(WAITS_KEY, field, count)
            for field, seconds in sums.items():
                pipeline.hincrbyfloat(WAITS_KEY, field, seconds)
            pipeline.execute()
        except (RedisError, OSError) as error:
            log.debug("cannot tell how long tasks waited: %s", error)
            _give_back(counts, sums)

    def _work(self) -> None:
        while not self._end.wait(FLUSH_SECONDS):
            self.flush()
        self.flush()
        self._client.close()
