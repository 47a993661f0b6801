"""What scales the workers is away: tasks wait or run, and go on when it is back."""

import time

import pytest

from e2e.chaos.faults import scaled_away, without_management
from e2e.chaos.scenario import Chaos
from e2e.chaos.test_tasks import TO_ZERO
from e2e.harness import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

MEANWHILE = 60
"""Tasks of the steady load that come in while it is away: 20 s of it."""
LOOKS = 40
"""Of the suite at the replicas, two a second: 20 s."""


WAITING = 40
"""Tasks of `SECONDS` that wait for workers: six minutes of one worker's time."""
SECONDS = 9


def test_keda_operator_down(chaos: Chaos) -> None:
    """It brings the first worker."""
    with chaos.scenario("KEDA's operator down, workers at zero", TO_ZERO, steady=False) as scenario:
        chaos.has_workers(0)
        with scenario.fault(), chaos.release.watched() as wanted, scaled_away(chaos.release, "keda-operator"):
            for _ in range(10):
                scenario.submit(seconds=1)
            looks = len(wanted)
            # It would have looked at the queue ten times: every 2 s.
            until(lambda: len(wanted) >= looks + LOOKS)
            scenario.expect(not any(wanted), "a worker was asked for while nobody could: nothing was proven")
        until(lambda: scenario.executed(scenario.load.accepted()) == len(scenario.load.accepted()), 240)


def test_keda_metrics_server_down(chaos: Chaos) -> None:
    """It tells the HorizontalPodAutoscaler, which brings all workers but the first."""
    with chaos.scenario("KEDA's metrics server down, many tasks at zero workers", TO_ZERO, steady=False) as scenario:
        chaos.has_workers(0)
        with scenario.fault():
            with chaos.release.watched() as wanted, scaled_away(chaos.release, "metrics-apiserver"):
                ids = [scenario.submit(seconds=SECONDS) for _ in range(WAITING)]
                until(lambda: scenario.executed(ids) >= 3, 180)
                scenario.expect(
                    max(wanted) == 1, f"{max(wanted)} workers were asked for, and nobody could: nothing was proven"
                )
            back = time.monotonic()
            until(lambda: (chaos.release.worker().spec.replicas or 0) > 1, 240)
            scenario.note(f"more workers were asked for {time.monotonic() - back:.1f} s after it was back")


def test_management_api_refusing(chaos: Chaos) -> None:
    with chaos.scenario("RabbitMQ's management API refusing") as scenario, scenario.fault():
        with without_management(chaos.release):
            until(lambda: chaos.release.condition("Fallback") == "True")
            scenario.more_accepted(MEANWHILE)
        until(lambda: chaos.release.condition("Fallback") == "False")
