"""`helm uninstall`, and the release installed again in the same namespace."""

import pytest

from charting.rendering import merged
from e2e.chaos.scenario import BASE, Chaos
from e2e.chaos.test_tasks import TO_ZERO
from e2e.harness import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

QUEUED = 50
PAUSED = merged(TO_ZERO, {"workerDefaults": {"autoscaling": {"pausedReplicas": 0}}})


def test_uninstall_and_reinstall_with_tasks_queued(chaos: Chaos) -> None:
    with chaos.scenario("helm uninstall and install with tasks queued", PAUSED, silent=True, steady=False) as scenario:
        until(lambda: chaos.release.replicas() == 0)
        for _ in range(QUEUED):
            scenario.submit(seconds=0.2)
        with scenario.fault():
            chaos.release.uninstall()
            chaos.release.install(BASE, TO_ZERO)
            until(scenario.load.ready)
