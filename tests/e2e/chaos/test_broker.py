"""RabbitMQ goes away, hangs, or refuses."""

import pytest

from e2e.chaos.faults import memory_alarm, policy
from e2e.chaos.scenario import Chaos, Scenario
from e2e.harness import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

PAUSE_SECONDS = 60


def refused(scenario: Scenario) -> int:
    return sum(answer.status == 503 for answer in scenario.load.answers)


@pytest.mark.short
def test_rabbitmq_pod_deleted(chaos: Chaos) -> None:
    with chaos.scenario("RabbitMQ pod deleted, its volume kept", refuses=True, silent=True) as scenario:
        # One that has ended before the broker is back, and one that has not.
        for task_id in [scenario.submit(seconds=seconds) for seconds in (40, 5)]:
            scenario.running(task_id)
        with scenario.fault():
            scenario.delete("stalk-rabbitmq-0")
            until(lambda: refused(scenario))


def test_rabbitmq_paused(chaos: Chaos) -> None:
    with chaos.scenario(f"RabbitMQ paused for {PAUSE_SECONDS} s", refuses=True, silent=True) as scenario:
        scenario.running(scenario.submit(seconds=20))
        with scenario.fault(), chaos.nodes.paused("stalk-rabbitmq-0", PAUSE_SECONDS):
            until(lambda: refused(scenario))


def test_rabbitmq_memory_alarm(chaos: Chaos) -> None:
    with chaos.scenario("RabbitMQ's memory alarm on", refuses=True, silent=True) as scenario:
        scenario.running(scenario.submit(seconds=20))
        with scenario.fault(), memory_alarm(chaos.release):
            until(lambda: refused(scenario) >= 5)


def test_queue_full(chaos: Chaos) -> None:
    with chaos.scenario("the task queue full (max-length 1)", refuses=True) as scenario:

        def refuses() -> bool:
            scenario.load.submit(seconds=5)  # long ones take every worker; then one may wait
            return refused(scenario) >= 5

        with scenario.fault(), policy(chaos.release, {"max-length": 1}):
            until(refuses)
