"""One pool through time: tasks, slots, pods, and the autoscaler that looks at them.

Between two decisions of the autoscaler the slots are fixed, so a first-in first-out queue in front of several servers
is worked off with one heap of the moments at which slots become free: exact, and a microsecond a task. RabbitMQ gives
the next message to a consumer that has room; the slot that was free first gets it here.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappush, heapreplace, merge
from itertools import count
from math import floor, inf

import numpy as np
import numpy.typing as npt

from stalk.plan.arrivals import Recording
from stalk.plan.durations import Times
from stalk.plan.hpa import SYNC_SECONDS, Hpa, behavior
from stalk.plan.keda import Keda
from stalk.plan.pools import Pool, Site
from stalk.plan.units import PlanProblem

__all__ = ["Outcome", "Phases", "Tasks", "simulate"]

REST_SECONDS = 2 * 3600.0
"""After the last task: a pool that has not come down by then stays up."""


@dataclass(frozen=True)
class Tasks:
    """What is to be done."""

    recording: Recording
    durations: Times
    """Seconds that each task runs, shape (tasks,)."""


@dataclass(frozen=True)
class Phases:
    """When the clocks that nobody has set tick first, in seconds."""

    poll: float
    """KEDA's look."""
    sync: float
    """The HorizontalPodAutoscaler's."""
    counted: float
    """A queue's count of itself."""
    collected: float
    """The management database's collection of these counts."""

    @classmethod
    def drawn(cls, rng: np.random.Generator, pool: Pool, site: Site) -> "Phases":
        """Draw each anywhere within its period."""
        poll, sync, counted, collected = rng.random(4).tolist()
        return cls(poll * pool.polling, sync * SYNC_SECONDS, counted * site.statistics, collected * site.statistics)


@dataclass(frozen=True)
class Outcome:
    """What one simulation gave. Times are seconds from the beginning of the recording."""

    arrived: Times
    started: Times
    """Of each task, in the order of arrival, shape (tasks,)."""
    ended: Times
    created: Times
    """Of each pod, shape (pods,)."""
    gone: Times
    wanted: tuple[tuple[float, int], ...]
    """Each change of the Deployment's replicas."""
    recorded: float
    """How long the recording is."""
    until: float
    """The end: of the recording, or when the pool had come to rest after it."""

    @property
    def waits(self) -> Times:
        """From publish to start, shape (tasks,)."""
        return self.started - self.arrived

    @property
    def drained(self) -> float:
        """When the last task has ended."""
        return float(self.ended.max())

    def pod_seconds(self, until: float = inf) -> float:
        """Return pods times the seconds that they existed, starting and ending ones included."""
        end = min(until, self.until)
        return float((np.minimum(self.gone, end) - np.minimum(self.created, end)).sum())

    def pods(self, moments: Times) -> npt.NDArray[np.int64]:
        """Return how many pods existed at each moment, same shape."""
        made = np.searchsorted(np.sort(self.created), moments, side="right")
        return made - np.searchsorted(np.sort(self.gone), moments, side="right")

    def backlog(self, moments: Times) -> npt.NDArray[np.int64]:
        """Return how many tasks waited for a slot at each moment, same shape."""
        came = np.searchsorted(self.arrived, moments, side="right")
        return came - np.searchsorted(self.started, moments, side="right")


def simulate(tasks: Tasks, pool: Pool, site: Site, rng: np.random.Generator, phases: Phases | None = None) -> Outcome:
    """Run one pool until every task has ended, the recording is over and the pool is at rest.

    Args:
        tasks: when they arrive, and how long they run.
        pool: as it is set.
        site: around it.
        rng: for what chance decides: the clocks' phases, and which pod goes.
        phases: the clocks', where they are known.

    Raises:
        PlanProblem: the pool can never work.
    """
    if pool.mode == "none" and not pool.replicas:
        raise PlanProblem(f"workers.{pool.name}.autoscaling.replicas: 0, so no task would ever run")
    run = _Run(tasks, pool, site, rng)
    if pool.mode == "none":
        run.work(inf)
    else:
        run.scale(phases or Phases.drawn(rng, pool, site))
    return run.outcome()


@dataclass(slots=True)
class _Pod:
    created: float
    ready: float
    gone: float = inf


_COUNT_FOR_POLL, _COUNT_FOR_SYNC, _POLL, _SYNC = range(4)
"""What happens, in the order in which it does when it is due at the same moment."""


class _Run:
    def __init__(self, tasks: Tasks, pool: Pool, site: Site, rng: np.random.Generator) -> None:
        self._recording, self._pool, self._site, self._rng = tasks.recording, pool, site, rng
        # Plain floats: reading single elements of an array costs three times as much.
        self._arrivals: list[float] = self._recording.times.tolist()
        self._durations: list[float] = tasks.durations.tolist()
        self._started: list[float] = []
        self._ended: list[float] = []
        self._pods: list[_Pod] = []
        self._live: list[int] = []
        """Indices of pods that take tasks, or will."""
        self._slots: list[tuple[float, int]] = []
        """A heap of (when it becomes free, pod)."""
        self._running: Times = np.empty(0)
        """Ends of tasks that had not ended at the last count."""
        self._counted = 0
        self._wanted: list[tuple[float, int]] = []
        replicas = pool.replicas if pool.mode == "none" else pool.least
        self._resize(0.0, replicas)
        for pod in self._pods:  # these were there before
            pod.ready = 0.0
        self._slots = [(0.0, pod) for _, pod in self._slots]

    def work(self, until: float) -> None:
        """Start every task whose turn comes before `until`."""
        arrivals, durations, slots = self._arrivals, self._durations, self._slots
        started, ended = self._started, self._ended
        if not slots:
            return
        for index in range(len(started), len(arrivals)):
            free, pod = slots[0]
            arrived = arrivals[index]
            start = arrived if arrived > free else free
            if start >= until:
                return
            end = start + durations[index]
            heapreplace(slots, (end, pod))
            started.append(start)
            ended.append(end)

    def scale(self, phases: Phases) -> None:
        """Let KEDA and the HPA look and decide, until all is done."""
        pool, total = self._pool, len(self._arrivals)
        hpa = Hpa(max(1, pool.least), pool.most, pool.target, behavior(pool.behavior, f"workers.{pool.name}"))
        keda = Keda(pool.least, pool.cooldown_seconds)
        seen: tuple[deque[float], deque[float]] = (deque(), deque())
        last, wanted = inf, pool.least
        for now, kind in self._moments(phases):
            self.work(now)
            if kind <= _COUNT_FOR_SYNC:
                seen[kind].append(self._messages(now))
                continue
            if last == inf and len(self._started) == total:
                last = max(self._ended)
            rests = now >= self._recording.seconds and now > last
            if rests and (wanted == pool.least or now > last + REST_SECONDS):
                return
            messages = seen[kind - _POLL].popleft()
            if kind == _POLL:
                wanted = keda.poll(now, len(self._live), messages)
            else:
                wanted = hpa.sync(now, len(self._live), [messages])
            if wanted != len(self._live):
                self._resize(now, wanted)

    def _moments(self, phases: Phases) -> Iterator[tuple[float, int]]:
        """Yield what happens when: each decision, and before it the count that it will be shown."""
        period = self._site.statistics

        def shown(now: float) -> float:
            collected = floor((now - phases.collected) / period) * period + phases.collected
            return floor((collected - phases.counted) / period) * period + phases.counted

        def ticks(first: float, every: float) -> Iterator[float]:
            return (first + each * every for each in count())

        polls, syncs = (phases.poll, self._pool.polling), (phases.sync, SYNC_SECONDS)
        return merge(
            ((shown(moment), _COUNT_FOR_POLL) for moment in ticks(*polls)),
            ((shown(moment), _COUNT_FOR_SYNC) for moment in ticks(*syncs)),
            ((moment, _POLL) for moment in ticks(*polls)),
            ((moment, _SYNC) for moment in ticks(*syncs)),
        )

    def _messages(self, now: float) -> float:
        """Return the messages of the fullest queue, waiting and running; tasks are spread evenly over the queues."""
        if len(self._ended) > self._counted:
            self._running = np.concatenate((self._running, self._ended[self._counted :]))
            self._counted = len(self._ended)
        if self._running.size:
            self._running = self._running[self._running > now]
        arrived = bisect_right(self._arrivals, now, lo=self._counted)
        return (arrived - self._counted + self._running.size) / len(self._pool.queues)

    def _resize(self, now: float, replicas: int) -> None:
        self._wanted.append((now, replicas))
        for _ in range(replicas - len(self._live)):
            pod = len(self._pods)
            ready = now + self._site.pods_start
            self._pods.append(_Pod(now, ready))
            self._live.append(pod)
            for _ in range(self._pool.concurrency):
                heappush(self._slots, (ready, pod))
        if replicas < len(self._live):
            self._remove(now, len(self._live) - replicas)

    def _remove(self, now: float, number: int) -> None:
        """Tell pods to end: they finish what they run, and take nothing more (a warm shutdown)."""
        busy_until: dict[int, float] = dict.fromkeys(self._live, now)
        for free, pod in self._slots:
            if self._pods[pod].ready <= now < free:
                busy_until[pod] = max(busy_until[pod], free)
        chance = dict(zip(self._live, self._rng.permutation(len(self._live)).tolist(), strict=True))

        def order(pod: int) -> tuple[bool, bool, float]:
            # A ReplicaSet deletes pods that are not ready first; beyond that it knows nothing of tasks.
            idle = busy_until[pod] > now if self._site.idle_first else False
            return self._pods[pod].ready <= now, idle, chance[pod]

        for pod in sorted(self._live, key=order)[:number]:
            was_ready = self._pods[pod].ready <= now
            self._pods[pod].gone = busy_until[pod] + (self._site.pods_stop if was_ready else 0.0)
            self._live.remove(pod)
        live = set(self._live)
        self._slots[:] = [slot for slot in self._slots if slot[1] in live]
        heapify(self._slots)

    def outcome(self) -> Outcome:
        """Return what came of it."""
        ended = np.array(self._ended)
        gone = np.array([pod.gone for pod in self._pods])
        after = [float(ended.max()), self._recording.seconds, *gone[np.isfinite(gone)].tolist()]
        until = max(after)
        return Outcome(
            self._recording.times,
            np.array(self._started),
            ended,
            np.array([pod.created for pod in self._pods]),
            gone,
            tuple(self._wanted),
            self._recording.seconds,
            until,
        )
