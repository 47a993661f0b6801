"""Tasks that ask for trouble themselves: too long, poisonous, delayed, too many."""

import time

import pytest

from e2e.chaos.faults import delete_pod, exit_code, gone, policy, purge_dead_letters, rolled
from e2e.chaos.scenario import Chaos, Scenario
from e2e.chaos.test_scale_in import QUICKLY
from e2e.harness import until
from integration.harness import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1500)]

TO_ZERO = {"workerDefaults": {"longestTaskSeconds": 10, "autoscaling": QUICKLY}}
MANY = 10_000


def gives_back(chaos: Chaos, scenario: Scenario, seconds: float) -> None:
    """Delete the pod of a task that takes longer than its worker may; the worker has to give it back, and end well."""
    task_id = scenario.submit(seconds=seconds)
    run = scenario.running(task_id)
    codes: list[int] = []

    def over() -> bool:
        found = exit_code(chaos.release, run.host)
        codes.extend([] if found is None else [found])
        return gone(chaos.release, run.host)

    with scenario.fault():
        delete_pod(chaos.release, run.host)
        scenario.killing(run.host)
        eventually(over, 90)
    scenario.note(f"the worker's exit code: {codes[-1] if codes else 'not seen'}")
    scenario.expect(set(codes) <= {0}, "the worker was killed at the end of its time; it gave nothing back")
    until(lambda: scenario.executed([task_id]), 240)
    first = scenario.runs(task_id)[0]
    scenario.expect(first.interrupted, f"the task came to its end in the pod that was told to stop: {first}")


@pytest.mark.short
def test_task_longer_than_the_grace_period(chaos: Chaos) -> None:
    """`longestTaskSeconds` 10 gives a grace period of 40 s; the task takes longer than it promised."""
    with chaos.scenario("a task longer than the grace period, its pod deleted", TO_ZERO) as scenario:
        gives_back(chaos, scenario, 60)


def test_pod_of_an_interruptible_pool_deleted(chaos: Chaos) -> None:
    values = {"workerDefaults": {"interruptible": True, "softShutdownSeconds": 5}}
    with chaos.scenario("a pod of an interruptible pool deleted", values) as scenario:
        gives_back(chaos, scenario, 30)


def test_task_longer_than_consumer_timeout(chaos: Chaos) -> None:
    """RabbitMQ 4.0 takes the task away from a worker that still runs it; it looks once a minute."""
    title = "a task longer than RabbitMQ's consumer_timeout (10 s, by a policy)"
    with chaos.scenario(title) as scenario:
        with policy(chaos.release, {"consumer-timeout": 10_000}):
            rolled(chaos.release, "stalk-worker-default")
            with scenario.fault():
                task_id = scenario.submit(seconds=100)
                until(lambda: scenario.executed([task_id]), 400)
        rolled(chaos.release, "stalk-worker-default")


def test_poison_message(chaos: Chaos) -> None:
    with chaos.scenario("a poison message: it kills every process that runs it") as scenario:
        with scenario.fault():
            task_id = scenario.submit(poison=True)
            scenario.dead.add(task_id)
            until(lambda: scenario.backlog("test-queue.dead-letters") == 1, 300)
        scenario.note(f"it ran {len(scenario.runs(task_id))} times, then the dead-letter queue had it")
        purge_dead_letters(chaos.release)


def test_retry_with_countdown_while_workers_go_to_zero(chaos: Chaos) -> None:
    title = "a retry with a countdown of 60 s, workers at zero meanwhile"
    with chaos.scenario(title, TO_ZERO, steady=False) as scenario:
        task_id = scenario.submit(retry_countdown=60)
        until(lambda: (runs := scenario.runs(task_id)) and runs[0].retried)
        until(lambda: chaos.release.replicas() == 0)
        scenario.expect(len(scenario.runs(task_id)) == 1, "the retry came before the workers had gone to zero")
        until(lambda: scenario.executed([task_id]), 180)
        first, second = scenario.runs(task_id)
        scenario.note(f"from the retry to the second run: {second.started - first.ended:.1f} s")
        scenario.expect(second.started - first.ended >= 58, "the second run came too early")


def test_eta_task_while_workers_are_at_zero(chaos: Chaos) -> None:
    with chaos.scenario("a task with a countdown of 30 s, workers at zero", TO_ZERO, steady=False) as scenario:
        until(lambda: chaos.release.replicas() == 0)
        submitted = time.monotonic()
        task_id = scenario.submit(countdown=30)
        until(lambda: chaos.release.worker().spec.replicas)
        waited = time.monotonic() - submitted
        scenario.note(f"a worker was asked for after {waited:.1f} s")
        scenario.expect(waited > 28, "a worker was asked for before the task was due")
        until(lambda: scenario.executed([task_id]), 180)


def test_ten_thousand_tasks_queued_while_at_zero(chaos: Chaos) -> None:
    values = {"workerDefaults": {**TO_ZERO["workerDefaults"], "concurrency": 4}}
    with chaos.scenario(f"{MANY} tasks queued while at zero", values, steady=False) as scenario:
        until(lambda: chaos.release.replicas() == 0)
        started = time.monotonic()
        with scenario.fault(recovers=False):
            scenario.load.submit_many(MANY)
        scenario.note(f"accepted after {time.monotonic() - started:.0f} s")
        until(lambda: scenario.backlog() == 0, 900)
        scenario.note(f"queue empty after {time.monotonic() - started:.0f} s")
