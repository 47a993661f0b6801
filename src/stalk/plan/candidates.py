"""Settings worth comparing, and which of them is best for an objective."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil
from typing import Any

import numpy as np

from stalk.plan.pools import Pool
from stalk.plan.simulation import Outcome, Tasks

__all__ = ["BEHAVIORS", "Axes", "Objective", "Summary", "behavior_name", "best", "candidates", "needed", "summarize"]

BEHAVIORS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "fast": {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [
                {"type": "Percent", "value": 900, "periodSeconds": 15},
                {"type": "Pods", "value": 20, "periodSeconds": 15},
            ],
            "selectPolicy": "Max",
        },
    },
    "thrifty": {"scaleDown": {"stabilizationWindowSeconds": 60}},
}
"""Named `behavior`s. default: Kubernetes' own. fast: to many pods in one step. thrifty: pods go after a minute."""
ALIKE = 0.02
"""Two candidates whose pod-hours differ by less cost the same: so much is chance."""
ROOM = 1.5
"""`max`, where nobody says it, above what the busiest minute keeps at work."""


@dataclass(frozen=True)
class Axes:
    """What to try of each setting; nothing: see `candidates`."""

    tasks_per_slot: Sequence[int] = ()
    least: Sequence[int] = ()
    most: Sequence[int] = ()
    polling: Sequence[int] = ()
    cooldown: Sequence[int] = ()
    concurrency: Sequence[int] = ()
    behavior: Sequence[str] = ()
    """Names in BEHAVIORS; `own` is the pool's own."""


def needed(tasks: Tasks, pool: Pool) -> int:
    """Return the pods that the busiest minute keeps at work, and half as many again.

    Args:
        tasks: what comes.
        pool: its concurrency counts.
    """
    # Work of the tasks that arrive in each stretch: a minute, or as long as a long task takes.
    span = max(60.0, float(np.percentile(tasks.durations, 95)))
    work = np.bincount((tasks.recording.times // span).astype(np.int64), weights=tasks.durations)
    return max(1, ceil(ROOM * float(work.max()) / span / pool.concurrency))


def candidates(base: Pool, axes: Axes) -> list[Pool]:
    """Return the pools to compare: the one given first, then all combinations, none twice in effect.

    Without axes: one, two and four tasks a slot; a pod that stays, and none; looks every 2, 5 and 15 s; Kubernetes' own
    `behavior` and a fast one.
    """
    if base.mode == "none":
        return [replace(base, replicas=each) for each in axes.most] or [base]
    own = _name(base.behavior)
    grid = product(
        axes.concurrency or (base.concurrency,),
        axes.tasks_per_slot or _distinct(base.tasks_per_slot, 1, 2, 4),
        axes.least or _distinct(base.least, 0, 1),
        axes.most or (base.most,),
        axes.polling or _distinct(int(base.polling), 2, 5, 15),
        axes.cooldown or (base.cooldown,),
        axes.behavior or _distinct(own, "default", "fast"),
    )
    found: dict[str, Pool] = {}
    for concurrency, per_slot, least, most, polling, cooldown, named in grid:
        pool = replace(
            base,
            concurrency=concurrency,
            tasks_per_slot=per_slot,
            least=min(least, most),
            most=most,
            polling=polling,
            cooldown=cooldown,
            behavior=base.behavior if named in {own, "own"} else BEHAVIORS[named],
        )
        if pool.least:  # KEDA's own look is for zero alone
            pool = replace(pool, polling=base.polling, cooldown=base.cooldown)
        found.setdefault(_key(pool), pool)
    first = found.pop(_key(base), None)
    return [*([first] if first else []), *found.values()]


def _distinct(*values: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _name(given: Mapping[str, Any]) -> str:
    return next((name for name, known in BEHAVIORS.items() if known == given), "own")


def _key(pool: Pool) -> str:
    return repr(replace(pool, notes=()))


def behavior_name(pool: Pool) -> str:
    """Return the name of a pool's `behavior`; `own` for one that has none."""
    return _name(pool.behavior)


@dataclass(frozen=True)
class Summary:
    """What a candidate came to, over all its runs."""

    pool: Pool
    tasks: int
    """Of all runs together."""
    wait_p50: float
    """Seconds from publish to start."""
    wait_p95: float
    wait_p99: float
    wait_max: float
    drain: float
    """Seconds from the last arrival until the last task had ended; the middle one of the runs."""
    drain_max: float
    pods_mean: float
    """While tasks came or ran."""
    pods_most: int
    pods_started: float
    """A run."""
    pod_hours: float
    """A run; pods that start and end are paid for too."""
    cost: float | None
    """A run: pod-hours times the price of one."""
    busy: float
    """Part of the paid slots' time in which a task ran."""
    seconds: float
    """Length of a run, until the pool was at rest."""


def summarize(pool: Pool, outcomes: Sequence[Outcome], pod_cost: float | None) -> Summary:
    """Return the figures of one candidate.

    Args:
        pool: the candidate.
        outcomes: of its runs.
        pod_cost: of a pod for an hour.
    """
    waits = np.concatenate([each.waits for each in outcomes])
    p50, p95, p99 = np.percentile(waits, [50, 95, 99]).tolist()
    drains = [each.drained - float(each.arrived[-1]) for each in outcomes]
    pod_seconds = [each.pod_seconds() for each in outcomes]
    work = sum(float((each.ended - each.started).sum()) for each in outcomes)
    spans = [max(each.recorded, each.drained) for each in outcomes]
    pods = [each.pod_seconds(span) / span for each, span in zip(outcomes, spans, strict=True)]
    pod_hours = float(np.mean(pod_seconds)) / 3600
    return Summary(
        pool=pool,
        tasks=len(waits),
        wait_p50=p50,
        wait_p95=p95,
        wait_p99=p99,
        wait_max=float(waits.max()),
        drain=float(np.median(drains)),
        drain_max=max(drains),
        pods_mean=float(np.mean(pods)),
        pods_most=max(int(each.pods(each.created).max(initial=0)) for each in outcomes),
        pods_started=float(np.mean([len(each.created) for each in outcomes])),
        pod_hours=pod_hours,
        cost=None if pod_cost is None else pod_hours * pod_cost,
        busy=work / (sum(pod_seconds) * pool.concurrency) if sum(pod_seconds) else 0.0,
        seconds=float(np.mean([each.until for each in outcomes])),
    )


@dataclass(frozen=True)
class Objective:
    """What the best candidate is the best at.

    With `wait_p95`: the fewest pod-hours of those that wait no longer. With `cost` alone: the shortest wait of those
    that cost no more. With neither, but `cheapest`: the fewest pod-hours of all.
    """

    wait_p95: float | None = None
    """Seconds."""
    cost: float | None = None
    """Of one run."""
    cheapest: bool = False

    @property
    def stated(self) -> bool:
        """Is there one?"""
        return self.wait_p95 is not None or self.cost is not None or self.cheapest


def best(summaries: Iterable[Summary], objective: Objective) -> Summary | None:
    """Return the candidate that serves the objective best, the earlier of two equals; None when none reaches it.

    Of those that cost the same, as far as chance lets one tell, it is the one with the shortest wait.
    """
    fit = [
        each
        for each in summaries
        if (objective.wait_p95 is None or each.wait_p95 <= objective.wait_p95)
        and (objective.cost is None or (each.cost is not None and each.cost <= objective.cost))
    ]
    if objective.wait_p95 is None and objective.cost is not None and not objective.cheapest:
        return min(fit, key=lambda each: (each.wait_p95, each.pod_hours), default=None)
    cheapest = min((each.pod_hours for each in fit), default=0.0)
    alike = [each for each in fit if each.pod_hours <= cheapest * (1 + ALIKE)]
    return min(alike, key=lambda each: (each.wait_p95, each.wait_p99), default=None)
