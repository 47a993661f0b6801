"""What is done to a release: each fault is undone when its `with` ends, whatever happened meanwhile."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from e2e.chaos.judge import Run
from e2e.chaos.node import NotAllowed
from e2e.harness import Release, of_this_cluster, until

__all__ = [
    "TIMED_OUT",
    "delete_pod",
    "drop_dead_letter",
    "exit_code",
    "gone",
    "kill_child",
    "logged",
    "memory_alarm",
    "policy",
    "read_only",
    "rolled",
    "scaled_away",
    "stopped",
    "without_management",
]

TIMED_OUT = re.compile(r"timed out waiting for a \w+ acknowledgement|delivery acknowledgement on channel \d+ timed out")
"""What RabbitMQ 4.0 says of a consumer_timeout that strikes, and then of the channel; a worker logs that as well."""


def delete_pod(release: Release, name: str) -> str:
    """Delete a pod as an eviction does: it has its grace period. Returns at once, with the pod's UID."""
    uid = str(release.pod(name).metadata.uid)
    release.kubectl("delete", "pod", name, "--wait=false")
    return uid


def gone(release: Release, name: str, uid: str = "") -> bool:
    """Tell whether a pod is not there any more; with a UID, that very pod: the name may belong to its successor."""
    try:
        found = release.pod(name)
    except ApiException as error:
        return error.status == 404
    return bool(uid) and found.metadata.uid != uid


def exit_code(release: Release, name: str, seconds: int) -> int | None:
    """Follow a worker that was told to stop until its pod is gone, and return how its container has ended.

    The kubelet writes that down before it lets go of the pod, so whoever watches sees it. None: the watch broke off.

    Raises:
        AssertionError: the pod is still there after so many seconds, or went without having said how.
    """
    code = None
    events: Iterable[Any] = watch.Watch().stream(
        client.CoreV1Api().list_namespaced_pod,
        release.namespace,
        field_selector=f"metadata.name={name}",
        timeout_seconds=seconds,
    )
    for event in filter(None, events):
        code = ended_with(event["object"].status.container_statuses or [], code)
        if event["type"] == "DELETED":
            assert code is not None, f"{name} went, and the kubelet did not say how its container had ended"
            return code
    assert gone(release, name), f"{name} is still there {seconds} s after it was told to stop"
    return code


def ended_with(statuses: Sequence[Any], before: int | None = None) -> int | None:
    """Return the exit code in the statuses of a worker's containers, or what was known before."""
    for each in statuses:
        if each.name == "worker" and each.state.terminated is not None:
            return int(each.state.terminated.exit_code)
    return before


def stopped(release: Release, name: str, since: float) -> float | None:
    """Return when the container of a pod was stopped after a time, both since the epoch; None: it was not."""
    try:
        return stopped_at(release.pod(name).status.container_statuses or [], since)
    except ApiException:
        return None


def stopped_at(statuses: Sequence[Any], since: float) -> float | None:
    """Return when one of these containers was stopped after a time; None: none was, or nobody says so yet.

    Kubernetes counts whole seconds: it is the end of that second.
    """
    for each in statuses:
        for state in (each.state, each.last_state):
            ended = state.terminated if state is not None else None
            if ended is not None and ended.finished_at is not None and ended.finished_at.timestamp() + 1 > since:
                return float(ended.finished_at.timestamp()) + 1
    return None


def logged(release: Release, pods: Sequence[str], container: str, what: re.Pattern[str], since: str) -> str | None:
    """Return the first line of some pods' logs since a time (RFC 3339) that matches, or None."""
    for pod in pods:
        lines = release.kubectl("logs", pod, "-c", container, f"--since-time={since}", check=False).splitlines()
        if line := next(filter(what.search, lines), None):
            return line
    return None


def kill_child(release: Release, run: Run) -> None:
    """Send SIGKILL to the process that runs a task; the image needs no shell for it."""
    words = ["python", "-c", f"import os; os.kill({run.pid}, 9)"]
    release.kubectl("exec", run.host, "-c", "worker", "--", *words)


def _rabbitmqctl(release: Release, *words: str) -> str:
    pod = f"{release.fullname}-rabbitmq-0"
    return release.kubectl("exec", pod, "-c", "rabbitmq", "--", "rabbitmqctl", "-q", *words)


@contextmanager
def memory_alarm(release: Release) -> Iterator[None]:
    """Let RabbitMQ believe that it has used up its memory: it reads nothing from publishers any more."""
    before = _rabbitmqctl(release, "eval", "application:get_env(rabbit, vm_memory_high_watermark).")
    assert "absolute" in before, before
    number = "".join(filter(str.isdigit, before.partition("absolute,")[2].partition("}")[0]))
    _rabbitmqctl(release, "set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        yield
    finally:
        _rabbitmqctl(release, "set_vm_memory_high_watermark", "absolute", number)


@contextmanager
def policy(release: Release, definition: dict[str, int]) -> Iterator[None]:
    """Put a policy on the task queue."""
    _rabbitmqctl(release, "set_policy", "chaos", "^test-queue$", json.dumps(definition), "--apply-to", "queues")
    try:
        yield
    finally:
        _rabbitmqctl(release, "clear_policy", "chaos")


def drop_dead_letter(release: Release, task_id: str) -> str | None:
    """Read the one dead letter with `stalk dead-letters`, drop it, and return RabbitMQ's reason.

    Raises:
        AssertionError: the letter is another one, or not the only one, or the command fails.
    """
    command = ["exec", f"deploy/{release.fullname}-api", "-c", "api", "--", "stalk", "dead-letters"]
    shown = release.kubectl(*command, "show", "--queue", "test-queue", "--json")
    # kubectl and the command may say more beside the list, in other lines.
    found = re.search(r"^\[$.*^\]$", shown, re.MULTILINE | re.DOTALL)
    letters = json.loads(found[0]) if found else []
    assert [letter["id"] for letter in letters] == [task_id], f"{task_id} is not the one dead letter: {shown}"
    said = release.kubectl(*command, "drop", "--queue", "test-queue", "--id", task_id, "--yes")
    assert "dropped 1 " in said, said
    return str(letters[0]["reason"])


@contextmanager
def without_management(release: Release) -> Iterator[None]:
    """Stop RabbitMQ's management API, where KEDA reads queue lengths."""
    _rabbitmqctl(release, "eval", "application:stop(rabbitmq_management).")
    try:
        yield
    finally:
        _rabbitmqctl(release, "eval", "application:start(rabbitmq_management).")


@contextmanager
def read_only(release: Release) -> Iterator[None]:
    """Make Redis a replica of nobody, as a failover leaves it: it answers, and refuses every write."""

    def cli(*words: str) -> str:
        return release.kubectl("exec", f"{release.fullname}-redis-0", "-c", "redis", "--", "redis-cli", "-e", *words)

    cli("replicaof", "127.0.0.1", "1")
    try:
        yield
    finally:
        cli("replicaof", "no", "one")


@contextmanager
def scaled_away(release: Release, ending: str) -> Iterator[None]:
    """Take one of KEDA's Deployments to no pod, and wait until nothing of it runs any more.

    Args:
        release: of the cluster.
        ending: of its name, which differs between KEDA's ways to install it.

    Raises:
        NotAllowed: it is not there, or is not ours to scale.
    """
    keda = of_this_cluster().get("keda", {}).get("namespace", "keda")
    found = [
        item
        for item in client.AppsV1Api().list_namespaced_deployment(keda).items
        if item.metadata is not None and str(item.metadata.name).endswith(ending)
    ]
    if not found:
        raise NotAllowed(f"no Deployment …{ending} in the namespace {keda}")
    deployment: Any = found[0]
    name = str(deployment.metadata.name)
    selector = ",".join(f"{key}={value}" for key, value in deployment.spec.selector.match_labels.items())
    may = release.run("kubectl", "auth", "can-i", "patch", "deployments/scale", "-n", keda, check=False)
    if "yes" not in may:
        raise NotAllowed(f"scaling Deployments in the namespace {keda} is not allowed")
    target = ["kubectl", "-n", keda, "scale", f"deployment/{name}"]

    def ready() -> int:
        status = client.AppsV1Api().read_namespaced_deployment(name, keda).status
        return (status.ready_replicas or 0) if status else 0

    before = ready()
    if not before:
        raise NotAllowed(f"{name} in the namespace {keda} is not ready anyway")
    release.run(*target, "--replicas=0")
    try:
        # Kubernetes does not count a pod that is told to stop, and KEDA's may still do their work for a moment.
        until(lambda: not client.CoreV1Api().list_namespaced_pod(keda, label_selector=selector).items, 180)
        yield
    finally:
        release.run(*target, f"--replicas={before}")
        until(lambda: ready() == before, 240)


def rolled(release: Release, deployment: str) -> None:
    """Restart a Deployment's pods in the way that its strategy says, and wait."""
    release.kubectl("rollout", "restart", f"deployment/{deployment}")
    release.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=300s")
