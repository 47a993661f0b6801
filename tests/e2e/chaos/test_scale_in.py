"""KEDA lowers the replicas while tasks run."""

import pytest

from charting.rendering import merged
from e2e.chaos.judge import runs_of
from e2e.chaos.scenario import Chaos
from e2e.harness import until
from integration.harness import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

QUICKLY = {
    "pollingInterval": 2,
    "cooldownPeriod": 15,
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
}
"""Scale-in as soon as it can be, so that it meets as many running tasks as it can."""


@pytest.mark.parametrize("concurrency", [pytest.param(1, marks=pytest.mark.short), 4])
def test_scale_in_while_tasks_run(chaos: Chaos, concurrency: int) -> None:
    quickly = merged(QUICKLY, {"cooldownPeriod": 45})  # the chart wants it above the longest task
    values = {"workerDefaults": {"longestTaskSeconds": 40, "concurrency": concurrency, "autoscaling": quickly}}
    with chaos.scenario(f"scale-in while long and short tasks run, concurrency {concurrency}", values) as scenario:
        # Lengths differ, so that the replicas fall one after another, each time with others still at work.
        long = [scenario.submit(seconds=seconds) for seconds in range(6, 6 + 3 * 10, 3) for _ in range(concurrency)]
        caught: set[str] = set()

        def over() -> bool:
            pods = chaos.leaving()
            for records in scenario.ledger.read(long).values():
                caught.update(run.host for run in runs_of(records) if run.interrupted and run.host in pods)
            return scenario.executed(long) == len(long)

        with chaos.release.watched() as wanted, scenario.fault():
            until(over, 300)
        scenario.note(f"replicas went up to {max(wanted)}; {len(caught)} pods were told to stop while a long task ran")
        scenario.expect(caught, "no pod was told to stop while it ran a long task: nothing was proven")


def test_scale_to_zero_at_the_boundary(chaos: Chaos) -> None:
    values = {"workerDefaults": {"longestTaskSeconds": 10, "autoscaling": QUICKLY}}
    title = "scale to zero at the boundary: tasks come just as the last worker is told to stop"
    with chaos.scenario(title, values, steady=False) as scenario:
        # What the scenario before has left would take the first task and go.
        until(lambda: not chaos.release.pods("worker"), 180)
        for _ in range(4):
            scenario.submit(seconds=1)
            until(lambda: chaos.release.worker().spec.replicas)
            eventually(lambda: not chaos.release.worker().spec.replicas, 180)
            for seconds in (0.2, 1, 3):
                scenario.submit(seconds=seconds)
            until(lambda: scenario.executed(scenario.load.accepted()) == len(scenario.load.accepted()), 120)
