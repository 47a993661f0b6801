"""A pod that is told to stop finishes its task, or gives it back where the pool is interruptible."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from kubernetes import client

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
    until(lambda: state(api, task)["status"] == "PROGRESS" and len(release.pods()) == 1)
    return release.pods()[0]


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
    until(lambda: len(release.pods()) <= 1)
    task = submit(api)
    pod = pod_that_runs(release, api, task)
    release.kubectl("delete", "pod", pod, "--wait=false")
    seen = set()

    def gone() -> bool:
        seen.add(state(api, task)["status"])
        return pod not in release.pods()

    until(gone)
    assert seen <= {"PROGRESS", "SUCCESS"}
    assert state(api, task)["status"] == "SUCCESS"
