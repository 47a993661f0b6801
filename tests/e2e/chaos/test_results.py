"""Redis goes away, hangs, or refuses."""

import pytest

from e2e.chaos.faults import read_only
from e2e.chaos.scenario import Chaos
from e2e.chaos.test_broker import PAUSE_SECONDS, refused
from e2e.harness import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]


@pytest.mark.short
def test_redis_pod_deleted(chaos: Chaos) -> None:
    with chaos.scenario("Redis pod deleted, its volume kept", refuses=True, silent=True) as scenario:
        scenario.running(scenario.submit(seconds=4))
        with scenario.fault():
            scenario.delete("stalk-redis-0")


def test_redis_paused(chaos: Chaos) -> None:
    with chaos.scenario(f"Redis paused for {PAUSE_SECONDS} s", refuses=True, silent=True) as scenario:
        scenario.running(scenario.submit(seconds=10))
        with scenario.fault(), chaos.nodes.paused("stalk-redis-0", PAUSE_SECONDS):
            until(lambda: refused(scenario))


def test_redis_read_only(chaos: Chaos) -> None:
    with chaos.scenario("Redis read-only, as after a failover", refuses=True, silent=True) as scenario:
        scenario.running(scenario.submit(seconds=5))
        with scenario.fault(), read_only(chaos.release):
            until(lambda: refused(scenario) >= 30)
