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


LENGTHS = range(6, 66, 6)
"""Of the long tasks, in seconds: they end one after another, and replicas fall each time with others still at work."""


@pytest.mark.parametrize(
    ("concurrency", "steward"), [pytest.param(1, True, marks=pytest.mark.short), (4, True), (1, False), (4, False)]
)
def test_scale_in_while_tasks_run(chaos: Chaos, concurrency: int, steward: bool) -> None:
    longest = max(LENGTHS)
    quickly = merged(QUICKLY, {"cooldownPeriod": longest + 5})  # the chart wants it above the longest task
    values = {
        "workerDefaults": {"longestTaskSeconds": longest, "concurrency": concurrency, "autoscaling": quickly},
        "steward": {"enabled": steward},
    }
    title = f"scale-in while long and short tasks run, concurrency {concurrency}{'' if steward else ', no steward'}"
    with chaos.scenario(title, values) as scenario:
        # First these bring all pods, so that the long ones begin together, on pods that are there.
        first = [scenario.submit(seconds=10) for _ in LENGTHS for _ in range(concurrency)]
        until(lambda: scenario.executed(first) >= len(first) / 2, 300)
        long = [scenario.submit(seconds=seconds) for seconds in LENGTHS for _ in range(concurrency)]
        told: set[str] = set()
        busy: set[str] = set()

        def over() -> bool:
            pods = chaos.leaving()
            runs = [run for records in scenario.ledger.read(long).values() for run in runs_of(records)]
            at_work = {run.host for run in runs if run.interrupted}
            if at_work:
                told.update(pods)
                busy.update(pods & at_work)
            return scenario.executed(long) == len(long)

        with chaos.release.watched() as wanted, scenario.fault():
            until(over, 300)
        scenario.note(
            f"replicas went up to {max(wanted)}; {len(told)} pods were told to stop while long tasks ran, "
            f"{len(busy)} of them with one"
        )
        scenario.expect(told, "no pod was told to stop while long tasks ran: nothing was proven")
        if not busy:
            # With the steward idle pods go first, and without it Kubernetes may choose those by chance.
            scenario.note("so nothing is proven here of a pod that is told to stop in the middle of a task")


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
            with scenario.recovering():
                for seconds in (0.2, 1, 3):
                    scenario.submit(seconds=seconds)
                until(lambda: scenario.executed(scenario.load.accepted()) == len(scenario.load.accepted()), 120)
