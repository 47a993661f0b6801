"""A measured burst beside the one that `stalk plan` foretells.

When KEDA and the HorizontalPodAutoscaler look is chance; a plan gives what may come. To see how well the rest is
modelled, the plan is also told when they looked, as far as the measured pods tell.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bench._burst import SAMPLE, Burst
from stalk.plan.arrivals import burst
from stalk.plan.pools import Pool, Site
from stalk.plan.simulation import Outcome, Phases, Tasks, simulate

DRAWS = 2000
ERRORS = {"drained, s": 0.1, "pod-seconds until drained": 0.1, "pod-seconds until at rest": 0.15}
"""How far a plan may be off, as a part of what is measured. docs/planning.md states them, and what follows."""
BUSY = 0.1
"""On a node that runs other tests beside this one, a task takes longer than it says: so much more a plan may be off."""
ROUGHLY = 0.1
"""How far outside of what may come (p5 to p95, with any clocks) a measured figure may be."""
STEPS = 2
"""The first changes of the pods tell when KEDA (from zero) and the HorizontalPodAutoscaler (from one) looked."""


@dataclass
class Measured:
    """A burst on a cluster, and its settings; times in seconds."""

    tasks: int
    task_seconds: float
    most: int
    polling: float
    cooldown: float
    pod_start: float
    """Replica asked for to task started, of a pod alone."""
    burst: Burst

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return vars(self) | {"burst": self.burst.to_json()}

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        own = {name: written[name] for name in cls.__dataclass_fields__}
        return cls(**own | {"burst": Burst.from_json(written["burst"])})

    @property
    def steps(self) -> list[float]:
        """When pods were first seen to come: the first, the second time."""
        steps = []
        for before, after in itertools.pairwise(self.burst.looks):
            if after.pods > before.pods:
                # KEDA makes one pod of none. More between two samples: the other one looked right after.
                steps += [after.seconds] * (2 if before.pods == 0 and after.pods > 1 else 1)
        return steps[:STEPS]


@dataclass
class Planned:
    """What the simulation says of the same burst: all that may come, and what comes with the clocks as they stood."""

    free: list[Outcome]
    told: list[Outcome]


def plan(measured: Measured, seed: int = 0) -> Planned:
    """Simulate a measured burst, with clocks of any phase, and with those that fit the measured steps."""
    pool = Pool(most=measured.most, polling=measured.polling, cooldown=measured.cooldown)
    site = Site(pods_start=measured.pod_start)
    rng = np.random.default_rng(seed)
    tasks = Tasks(burst(measured.tasks)(rng), np.full(measured.tasks, float(measured.task_seconds)))
    free = [simulate(tasks, pool, site, rng, Phases.drawn(rng, pool, site)) for _ in range(DRAWS)]
    return Planned(free, [outcome for outcome in free if _fits(outcome, measured.steps)])


def _fits(outcome: Outcome, steps: list[float]) -> bool:
    """Tell whether the replicas rise when the pods were seen to: in the interval between two looks, and a bit more."""
    rises = [now for (_, was), (now, wanted) in itertools.pairwise(outcome.wanted) if wanted > was][: len(steps)]
    return len(rises) == len(steps) and all(
        seen - 2 * SAMPLE <= rise <= seen for rise, seen in zip(rises, steps, strict=True)
    )


@dataclass
class Comparison:
    """One figure, measured and planned."""

    name: str
    measured: float
    told: float
    """Planned, with the clocks as they stood."""
    free: tuple[float, float, float]
    """Planned, with any clocks: p5, p50, p95."""

    @property
    def error(self) -> float:
        """Of `told`, as a part of what was measured."""
        return self.told / self.measured - 1

    def may_come(self, busy: float = 0.0) -> bool:
        """Tell whether what was measured is among what the plan says with any clocks; a busy node may take longer."""
        low, _, high = self.free
        return (1 - ROUGHLY) * low <= self.measured <= (1 + ROUGHLY + busy) * high


def compare(measured: Measured) -> list[Comparison]:
    """Return drain time, and pod-seconds until drained and until at rest."""
    planned = plan(measured)
    if not planned.told:
        raise RuntimeError(f"in no simulation do the replicas rise at {measured.steps} s")
    real = measured.burst
    figures: list[tuple[str, float, Callable[[Outcome], float]]] = [
        ("drained, s", real.drained, lambda outcome: outcome.drained),
        ("pod-seconds until drained", real.pod_seconds(real.drained), lambda each: each.pod_seconds(each.drained)),
        ("pod-seconds until at rest", real.pod_seconds(), lambda each: each.pod_seconds()),
    ]
    return [
        Comparison(
            name,
            value,
            float(np.median([figure(each) for each in planned.told])),
            tuple(np.percentile([figure(each) for each in planned.free], [5, 50, 95]).tolist()),
        )
        for name, value, figure in figures
    ]


def print_errors(measured: Measured) -> None:
    """Print what was measured, what the plan says, and how far apart they are."""
    print(f"\n`stalk plan` of the burst with KEDA, a pod starting in {measured.pod_start:.2f} s")
    print(f"{'':28}{'measured':>10}{'planned':>10}{'error':>8}{'any clocks: p5':>17}{'p50':>8}{'p95':>8}")
    for each in compare(measured):
        free = "".join(f"{value:{width}.0f}" for value, width in zip(each.free, (17, 8, 8), strict=True))
        print(f"{each.name:28}{each.measured:10.0f}{each.told:10.0f}{each.error:8.0%}{free}")
