"""A pod that is told to stop finishes its task, or gives it back where the pool is interruptible."""

from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest
from kubernetes import client

from e2e.chaos.faults import gone
from e2e.harness import Release, submit, until, wait_for_all
from integration.harness import eventually

pytestmark = pytest.mark.timeout(600)

TASK_SECONDS = 20
VALUES = {
    "flower": {"enabled": False},
    "extraEnv": {"STEPS": str(TASK_SECONDS), "STEP_SECONDS": "1"},
    "workerDefaults": {
        "longestTaskSeconds": 40,
        "softShutdownSeconds": 3,
        "autoscaling": {"max": 2, "pollingInterval": 2},
    },
    "workers": {"default": {"queues": ["test-queue"]}},
}


def interruptible(yes: bool) -> dict[str, object]:
    return {"workerDefaults": {"interruptible": yes}}


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(VALUES, interruptible(True))
    return made


@pytest.fixture
def api(release: Release) -> Iterator[httpx.Client]:
    with release.api() as http:
        yield http


def state(api: httpx.Client, task: str) -> dict[str, str]:
    return dict(api.get(f"/tasks/{task}").json())


def pod_that_runs(release: Release, api: httpx.Client, task: str) -> str:
    until(lambda: state(api, task)["status"] == "PROGRESS" and len(release.pod_names()) == 1)
    return release.pod_names()[0]


def test_an_evicted_pod_of_an_interruptible_pool_gives_its_task_back(release: Release, api: httpx.Client) -> None:
    """What a drained node, a spot notice and preemption do: an eviction, with less time than the pool's tasks need."""
    task = submit(api)
    pod = pod_that_runs(release, api, task)
    body = client.V1Eviction(
        metadata=client.V1ObjectMeta(name=pod, namespace=release.namespace),
        delete_options=client.V1DeleteOptions(grace_period_seconds=12),
    )
    client.CoreV1Api().create_namespaced_pod_eviction(pod, release.namespace, body)
    said = eventually(lambda: (now := state(api, task))["status"] == "RETRY" and now["error"], timeout=12)
    assert said == f"worker default@{pod} was told to stop, and its 3 s are over"
    wait_for_all(api, [task])
    assert api.get("/queues").json() == {"ready": {"test-queue": 0}}


def test_a_deleted_pod_finishes_its_task(release: Release, api: httpx.Client) -> None:
    release.install(release.values, interruptible(False))
    until(lambda: len(release.pod_names()) <= 1)
    task = submit(api)
    pod = pod_that_runs(release, api, task)
    release.kubectl("delete", "pod", pod, "--wait=false")
    seen = set()

    def watched() -> bool:
        seen.add(state(api, task)["status"])
        return gone(release, pod)

    until(watched)
    assert seen <= {"PROGRESS", "SUCCESS"}
    assert state(api, task)["status"] == "SUCCESS"


def test_a_pod_that_is_deleted_while_it_starts_hears_it(release: Release) -> None:
    """Process 1 hears no SIGTERM before it has a handler; such a worker took tasks until its grace period was over."""
    grace = 300
    # A fifth of a core: Python takes seconds to begin, and the word comes well before it listens.
    slow = {"requests": {"cpu": "10m"}, "limits": {"cpu": "200m"}}
    fixed = {"autoscaling": {"mode": "none", "replicas": 1}, "terminationGracePeriodSeconds": grace, "resources": slow}
    release.install(release.values, {"workerDefaults": fixed})
    for _ in range(3):
        before = set(release.pod_names())
        release.kubectl("delete", "pods", "-l", "stalk/pool=default", "--wait=false")
        # As early as can be: the container is there, and Python has hardly begun.
        new = eventually(partial(running, release, before), 60, 0.05)
        release.kubectl("delete", "pod", *new, "--wait=false")
        for pod in new:
            until(partial(gone, release, pod), grace / 3)


def running(release: Release, before: set[str]) -> set[str]:
    """Return the new pods whose container runs, ready or not."""
    return {
        str(pod.metadata.name)
        for pod in release.pods("worker")
        if any(each.state.running for each in pod.status.container_statuses or [])
    } - before
