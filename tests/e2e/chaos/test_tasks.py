"""Tasks that ask for trouble themselves: too long, poisonous, delayed, too many."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from charting.rendering import CHART, merged
from e2e.chaos.faults import TIMED_OUT, drop_dead_letter, exit_code, logged, policy, rolled
from e2e.chaos.scenario import BASE, Chaos, Scenario
from e2e.chaos.test_scale_in import QUICKLY
from e2e.harness import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1500)]

TO_ZERO = {"workerDefaults": {"longestTaskSeconds": 10, "autoscaling": QUICKLY}}
MANY = 10_000
BLOCKING_SECONDS = 75
"""Of a task that keeps the next worker busy for longer than the one before it may take to go: 40 s."""


def gives_back(chaos: Chaos, scenario: Scenario, seconds: float, only_worker: bool = False) -> None:
    """Delete the pod of a task that takes longer than its worker may; the worker has to give it back, and end well.

    Args:
        chaos: the release.
        scenario: in which nothing else tells a worker to stop.
        seconds: that the task takes.
        only_worker: it is, so what becomes of the task can be seen before anybody takes it again.
    """
    task_id = scenario.submit(seconds=seconds)
    run = scenario.running(task_id)
    with scenario.fault(recovers=not only_worker):
        scenario.delete(run.host)
        blocking = scenario.submit(seconds=BLOCKING_SECONDS) if only_worker else ""
        code = exit_code(chaos.release, run.host, 90)
        at = scenario.killing(run.host)
        if blocking:
            state = scenario.state(task_id)
            scenario.note(f"the task's state when it was given back: {state}")
            if scenario.runs(blocking):  # the next worker has that one, and took nothing else
                scenario.expect(state == "RETRY", f"the task that was given back is {state}, not RETRY")
    scenario.note(f"the worker's exit code: {'not seen' if code is None else code}")
    scenario.expect(not code, "the worker was killed at the end of its time; it gave nothing back")
    scenario.again(task_id, at)
    first = scenario.runs(task_id)[0]
    scenario.expect(first.interrupted, f"the task came to its end in the pod that was told to stop: {first}")


@pytest.mark.short
def test_task_longer_than_the_grace_period(chaos: Chaos) -> None:
    """`longestTaskSeconds` 10 gives a grace period of 40 s; the task takes longer than it promised."""
    values = merged(TO_ZERO, {"workerDefaults": {"autoscaling": {"min": 1, "max": 1}}})
    title = "a task longer than the grace period, its pod deleted"
    with chaos.scenario(title, values, steady=False) as scenario:
        chaos.has_workers(1)
        gives_back(chaos, scenario, 60, only_worker=True)


def test_pod_of_an_interruptible_pool_deleted(chaos: Chaos) -> None:
    values = {"workerDefaults": {"interruptible": True, "softShutdownSeconds": 5, "autoscaling": {"min": 5, "max": 5}}}
    with chaos.scenario("a pod of an interruptible pool deleted", values) as scenario:
        chaos.has_workers(5)
        gives_back(chaos, scenario, 30)


def test_task_longer_than_consumer_timeout(chaos: Chaos) -> None:
    """RabbitMQ 4.0 takes the task away from a worker that still runs it; it looks once a minute."""
    title = "a task longer than RabbitMQ's consumer_timeout (10 s, by a policy)"
    with chaos.scenario(title) as scenario:
        since = f"{datetime.now(UTC) - timedelta(seconds=5):%Y-%m-%dT%H:%M:%SZ}"
        with policy(chaos.release, {"consumer-timeout": 10_000}):
            rolled(chaos.release, "stalk-worker-default")
            with scenario.fault():
                task_id = scenario.submit(seconds=100)
                until(lambda: scenario.executed([task_id]), 400)
            workers = [str(pod.metadata.name) for pod in chaos.release.pods("worker")]
            struck = logged(chaos.release, ["stalk-rabbitmq-0"], "rabbitmq", TIMED_OUT, since) or logged(
                chaos.release, workers, "worker", TIMED_OUT, since
            )
            scenario.expect(
                struck, "neither RabbitMQ nor a worker has logged that the timeout struck: nothing was proven"
            )
        rolled(chaos.release, "stalk-worker-default")


def test_poison_message(chaos: Chaos) -> None:
    with chaos.scenario("a poison message: it kills every process that runs it") as scenario:
        with scenario.fault():
            task_id = scenario.submit(poison=True)
            scenario.dead.add(task_id)
            until(lambda: scenario.backlog("test-queue.dead-letters") == 1, 300)
        limit = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["celery"]["deliveryLimit"]
        ran = len(scenario.runs(task_id))
        scenario.note(f"it ran {ran} times, then the dead-letter queue had it; deliveryLimit is {limit}")
        # The limit counts what comes after the first delivery. One may have gone to a worker that was told to stop.
        scenario.expect(
            limit - 2 <= ran <= limit + 1, f"it ran {ran} times, which is not what deliveryLimit {limit} says"
        )
        reason = drop_dead_letter(chaos.release, task_id)
        scenario.expect(reason == "delivery_limit", f"RabbitMQ's reason for the dead letter is {reason}")


def test_retry_with_countdown_while_workers_go_to_zero(chaos: Chaos) -> None:
    title = "a retry with a countdown of 60 s, workers at zero meanwhile"
    with chaos.scenario(title, TO_ZERO, steady=False) as scenario:
        task_id = scenario.submit(retry_countdown=60)
        until(lambda: (runs := scenario.runs(task_id)) and runs[0].retried)
        until(lambda: chaos.release.replicas() == 0)
        scenario.expect(len(scenario.runs(task_id)) == 1, "the retry came before the workers had gone to zero")
        until(lambda: scenario.executed([task_id]), 180)
        first, second = scenario.runs(task_id)
        scenario.row.recovery.append(second.ended - first.ended - 60)
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
        scenario.row.recovery.append(time.monotonic() - submitted - 30)


def test_ten_thousand_tasks_queued_while_at_zero(chaos: Chaos) -> None:
    values = {"workerDefaults": {**TO_ZERO["workerDefaults"], "concurrency": 4}}
    paused = merged(values, {"workerDefaults": {"autoscaling": {"pausedReplicas": 0}}})
    with chaos.scenario(f"{MANY} tasks queued while at zero", paused, steady=False) as scenario:
        chaos.has_workers(0)
        started = time.monotonic()
        with scenario.fault(recovers=False):
            scenario.load.submit_many(MANY)
        scenario.note(f"accepted after {time.monotonic() - started:.0f} s")
        scenario.expect(chaos.release.replicas() == 0, "there were workers before all tasks were queued")
        chaos.release.install(BASE, values)
        with scenario.recovering():
            until(lambda: scenario.backlog() == 0, 900)
