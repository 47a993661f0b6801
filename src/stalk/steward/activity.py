"""What a worker's pod is worth, by its heartbeats. No clock and no connection: times come in as arguments."""

from collections import deque
from dataclasses import dataclass, field

__all__ = ["BUSY_AFTER", "FORGET_AFTER", "IDLE_AFTER", "SILENT_AFTER", "Activity", "level"]

BUSY_AFTER = 3.0
"""Seconds of heartbeats that all show tasks before a pod counts for more. Celery's come every 2 s: a task that is over
within 4 s is not written down, and a worker with a stream of short ones is written down once."""
IDLE_AFTER = 10.0
"""Seconds of heartbeats that all show fewer tasks before a pod counts for less: a pause between two tasks is no rest.
An autoscaler waits far longer before it takes a pod (`stabilizationWindowSeconds`, 300 s by default)."""
SILENT_AFTER = 10.0
"""Seconds without a heartbeat (and three missed ones), while others are heard, before a worker counts as silent,
which is more than idle: one of `--pool solo` runs its task in the thread that would send. It is less than busy: on a
full node an idle worker may fall silent, too, and no busy one shall go in its place. A worker that hangs is not kept
by this: it gets unready, and a ReplicaSet takes unready pods first, whatever they cost."""
FORGET_AFTER = 300.0
"""Seconds without a heartbeat before a pod's cost is taken back: what nobody has confirmed for so long is a guess, and
a wrong cost is worse than none."""

MISSED = 3
SILENT = 1
"""The cost of a pod whose worker is silent, and was idle before that."""


def level(active: int) -> int:
    """Return the cost of a pod that runs this many tasks: 0, then from 2 on a step for each doubling (1, 2-3, 4-7, …).

    More tasks cost more to move; coarse, so that a pod with many slots is not written to with each task.
    """
    return SILENT + active.bit_length() if active > 0 else 0


@dataclass
class _Worker:
    last: float
    """When it was last heard."""
    every: float
    """Seconds between its heartbeats, as it says itself."""
    samples: deque[tuple[float, int]] = field(default_factory=deque)
    """(time, level) of the last `IDLE_AFTER` seconds and one before; empty when nothing can be said of the worker."""

    @property
    def patience(self) -> float:
        return max(SILENT_AFTER, MISSED * self.every)

    def take(self, level: int, now: float) -> None:
        if now - self.last > self.patience:
            self.samples.clear()  # nobody knows what was in between
        self.last = now
        self.samples.append((now, level))
        while len(self.samples) > 1 and self.samples[1][0] <= now - IDLE_AFTER:
            self.samples.popleft()

    def since(self, seconds: float) -> list[int] | None:
        """Return the levels of the last seconds before it was last heard, or None if it is not known for so long."""
        began = [at for at, _ in self.samples if at <= self.last - seconds]
        return [level for at, level in self.samples if at >= began[-1]] if began else None


class Activity:
    """What is known of all workers.

    Args:
        now: the time, in seconds of any clock that never goes back.
    """

    def __init__(self, now: float) -> None:
        self._began = now
        self._latest = now
        self._workers: dict[str, _Worker] = {}

    def heard(self, host: str, active: int, every: float, now: float) -> None:
        """Take a heartbeat: the worker on this host runs so many tasks, and will speak again in `every` seconds."""
        worker = self._workers.setdefault(host, _Worker(now, every))
        worker.every = every
        self._latest = now
        worker.take(level(active), now)

    def left(self, host: str) -> None:
        """Take a worker's goodbye. It may still run a task: it says so when it loses the broker, too."""
        if host in self._workers:
            self._workers[host].samples.clear()

    def deaf(self) -> None:
        """Nothing is heard any more, because the broker is away: nobody's silence means anything."""
        for worker in self._workers.values():
            worker.samples.clear()

    def cost(self, host: str, current: int, now: float) -> int:
        """Return what the pod of this name is worth, given what it is said to be worth now.

        The answer is `current` until something is known for long enough; that is all the memory there is, so a steward
        that restarts, or whose write got lost, goes on where it was.
        """
        worker = self._workers.get(host)
        if now - (worker.last if worker else self._began) > FORGET_AFTER:
            return 0
        if worker is None or not worker.samples:
            return current
        # Not `now`: when nobody is heard, the line is dead and not each worker.
        if self._latest - worker.last > worker.patience:
            return max(current, SILENT)
        least, most = worker.since(BUSY_AFTER), worker.since(IDLE_AFTER)
        if least is not None and current < min(least):
            return min(least)
        if most is not None and current > max(most):
            return max(most)
        return current

    def forget(self, now: float) -> None:
        """Drop workers that have been silent for so long that their pods must be gone."""
        self._workers = {host: worker for host, worker in self._workers.items() if now - worker.last <= FORGET_AFTER}
