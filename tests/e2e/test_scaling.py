"""KEDA takes workers from zero to N and back: no task is lost, none runs twice."""

from collections.abc import Callable

import pytest

from e2e.harness import QUICK, Release, events, submit, submit_many, until, wait_for_all

pytestmark = pytest.mark.timeout(600)

MOST = 5
TASKS = 30
POOLS = {
    "workers": {
        "default": {"autoscaling": {"max": MOST, "fallback": {"replicas": 2}}},
        "wide": {"queues": ["wide"], "concurrency": 4, "autoscaling": {"tasksPerSlot": 2}},
    }
}


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(QUICK, POOLS)
    return made


def test_target_follows_from_the_concurrency(release: Release) -> None:
    def target(pool: str) -> str:
        found = release.autoscalers()[f"keda-hpa-stalk-worker-{pool}"]
        return str(found.spec.metrics[0].external.target.average_value)

    until(lambda: len(release.autoscalers()) == 2)
    assert (target("default"), target("wide")) == ("1", "8")


def test_broker_that_cannot_be_read_gives_the_fallback_replicas(release: Release) -> None:
    """Before the load: the HorizontalPodAutoscaler remembers what it wanted for five minutes, over zero too."""
    until(lambda: release.replicas() == 0)

    # Not the Service or a NetworkPolicy: KEDA keeps its connection, and not every cluster enforces policies.
    def management(does: str) -> None:
        release.kubectl(
            "exec", "stalk-rabbitmq-0", "--", "rabbitmqctl", "eval", f"application:{does}(rabbitmq_management)."
        )

    management("stop")
    try:
        until(lambda: release.condition("Fallback") == "True")
        until(lambda: release.worker().status.ready_replicas == 2)
        with release.api() as api:
            wait_for_all(api, [submit(api)])
    finally:
        management("start")
    until(lambda: release.condition("Fallback") == "False")
    until(lambda: release.replicas() == 0)


def test_from_zero_to_the_most_and_back_runs_each_task_once(release: Release) -> None:
    until(lambda: release.replicas() == 0)
    with release.api() as api, release.flower() as flower, release.watched() as wanted:
        before = events(flower, "task-started")
        ids = submit_many(api, TASKS)
        wait_for_all(api, ids)
        until(lambda: events(flower, "task-succeeded") >= TASKS)
        assert events(flower, "task-started") - before == TASKS
        until(lambda: release.replicas() == 0)
        assert api.get("/queues").json() == {"ready": {"test-queue": 0}}
    assert (wanted[0], max(wanted), wanted[-1]) == (0, MOST, 0)
