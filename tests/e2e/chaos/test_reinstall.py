"""`helm uninstall`, and the release installed again in the same namespace."""

from typing import Any

import pytest

from charting.rendering import merged
from e2e.chaos.scenario import BASE, Chaos, Scenario
from e2e.chaos.test_tasks import TO_ZERO
from e2e.harness import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

QUEUED = 50


def paused(replicas: int) -> dict[str, Any]:
    """Return values with so many workers, and no more whatever is queued."""
    return merged(TO_ZERO, {"workerDefaults": {"autoscaling": {"pausedReplicas": replicas}}})


def reinstalled(chaos: Chaos, scenario: Scenario) -> None:
    """Queue tasks that nobody takes, and take the release away and bring it back."""
    for _ in range(QUEUED):
        scenario.submit(seconds=0.2)
    with scenario.fault():
        chaos.release.uninstall()
        chaos.release.install(BASE, TO_ZERO)
        until(scenario.load.ready)


def test_uninstall_and_reinstall_with_tasks_queued(chaos: Chaos) -> None:
    title = "helm uninstall and install with tasks queued"
    with chaos.scenario(title, paused(0), silent=True, steady=False) as scenario:
        chaos.has_workers(0)
        reinstalled(chaos, scenario)


def test_uninstall_and_reinstall_with_a_task_running(chaos: Chaos) -> None:
    """Broker and results go at the same moment as the worker: what it runs is killed with it, and runs again."""
    title = "helm uninstall and install with a task running and others queued"
    with chaos.scenario(title, paused(1), silent=True, steady=False) as scenario:
        chaos.has_workers(1)
        run = scenario.running(scenario.submit(seconds=30))
        # Whatever of it the broker, which goes as well, was not told of.
        scenario.killing(run.host)
        reinstalled(chaos, scenario)
