"""Idle pods go first when a pool shrinks; without the steward any may go, and nothing is lost."""

from collections.abc import Callable, Iterator

import pytest
from kubernetes import client

from e2e.harness import Release, until
from e2e.holding import HOLDER, Holder

pytestmark = pytest.mark.timeout(600)

PODS, BUSY = 4, 2
LONG = 30
"""Seconds of a task, in which a pod is marked and the pool shrinks."""


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    # Two at least, or there would be no steward.
    made.install(HOLDER, {"workers": {"default": {"autoscaling": {"replicas": PODS}}}})
    return made


@pytest.fixture(scope="module")
def holder(release: Release) -> Iterator[Holder]:
    with Holder.of(release) as holder:
        yield holder


def test_costs_follow_the_tasks_and_the_idle_go_first(holder: Holder) -> None:
    for _ in range(2):
        everybody = holder.scale_and_wait(PODS)
        tasks = holder.hold(*[LONG] * BUSY)
        busy = holder.pods_of(tasks)
        assert len(busy) == BUSY
        until(lambda busy=busy: holder.costs() == dict.fromkeys(busy, "2"))  # type: ignore[misc]
        holder.scale(BUSY)
        until(lambda everybody=everybody: holder.staying() < everybody)  # type: ignore[misc]
        assert holder.staying() == busy
        assert [task.get(timeout=60) for task in tasks] == [LONG] * BUSY
        until(lambda: holder.costs() == {})
        assert holder.staying() == busy


def test_without_it_nothing_is_lost(release: Release, holder: Holder) -> None:
    steward = f"{release.fullname}-steward"
    release.kubectl("scale", f"deployment/{steward}", "--replicas=0")
    release.kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=steward", "--timeout=60s")
    holder.scale_and_wait(PODS)
    tasks = holder.hold(*[15] * PODS)
    assert len(holder.pods_of(tasks)) == PODS
    holder.scale(1)
    until(lambda: len(holder.staying()) == 1)
    assert [task.get(timeout=60) for task in tasks] == [15] * PODS
    assert holder.costs() == {}

    release.kubectl("scale", f"deployment/{steward}", "--replicas=1")
    (task,) = holder.hold(LONG)
    busy = holder.pods_of([task])
    until(lambda: holder.costs() == dict.fromkeys(busy, "2"))
    assert task.get(timeout=60) == LONG  # or its worker would wait, at the end, for a Redis that is gone


@pytest.mark.parametrize(
    ("verb", "what", "may"),
    [
        ("get", "pods", True),
        ("list", "pods", True),
        ("patch", "pods", True),
        ("delete", "pods", False),
        ("create", "pods", False),
        ("update", "pods", False),
        ("create", "pods/eviction", False),
        ("create", "pods/exec", False),
        ("patch", "pods/status", False),
        ("get", "secrets", False),
        ("list", "secrets", False),
        ("patch", "deployments.apps", False),
        ("patch", "deployments.apps/scale", False),
    ],
)
def test_its_token_may_do_its_work_and_no_more(release: Release, verb: str, what: str, may: bool) -> None:
    resource, _, part = what.partition("/")
    question = ["auth", "can-i", verb, resource, *([f"--subresource={part}"] if part else [])]
    account = f"--as=system:serviceaccount:{release.namespace}:{release.fullname}-steward"
    assert release.kubectl(*question, account, check=False).strip() == ("yes" if may else "no")
    assert release.run("kubectl", *question, account, "-n", "default", check=False).strip() == "no"


def test_only_the_steward_has_a_token(release: Release) -> None:
    pods = client.CoreV1Api().list_namespaced_pod(release.namespace).items
    with_token = {
        (pod.metadata.labels or {}).get("app.kubernetes.io/component")  # type: ignore[union-attr]
        for pod in pods
        for volume in pod.spec.volumes or []  # type: ignore[union-attr]
        if volume.projected and any(source.service_account_token for source in volume.projected.sources or [])
    }
    assert with_token == {"steward"}
