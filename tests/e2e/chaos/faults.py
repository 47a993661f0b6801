"""What is done to a release: each fault is undone when its `with` ends, whatever happened meanwhile."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from e2e.chaos.judge import Run
from e2e.chaos.node import NotAllowed
from e2e.harness import Release, of_this_cluster, until

__all__ = [
    "delete_pod",
    "exit_code",
    "gone",
    "kill_child",
    "memory_alarm",
    "policy",
    "purge_dead_letters",
    "read_only",
    "rolled",
    "scaled_away",
    "without_management",
]


def delete_pod(release: Release, name: str) -> None:
    """Delete a pod as an eviction does: it has its grace period. Returns at once."""
    release.kubectl("delete", "pod", name, "--wait=false")


def gone(release: Release, name: str) -> bool:
    try:
        release.pod(name)
    except ApiException as error:
        return error.status == 404
    return False


def exit_code(release: Release, name: str) -> int | None:
    """Return how the container of a pod that is being deleted has ended, or None while it has not, or is gone."""
    try:
        statuses = release.pod(name).status.container_statuses or []
    except ApiException:
        return None
    for each in statuses:
        if each.state.terminated is not None:
            return int(each.state.terminated.exit_code)
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


def purge_dead_letters(release: Release) -> None:
    """Empty the dead-letter queue of the task queue."""
    _rabbitmqctl(release, "purge_queue", "test-queue.dead-letters")


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
    """Take one of KEDA's Deployments to no pod; `ending` of its name, which differs between KEDA's ways to install it.

    Raises:
        NotAllowed: it is not there, or is not ours to scale.
    """
    keda = of_this_cluster().get("keda", {}).get("namespace", "keda")
    found = [
        item.metadata.name
        for item in client.AppsV1Api().list_namespaced_deployment(keda).items
        if item.metadata is not None and str(item.metadata.name).endswith(ending)
    ]
    if not found:
        raise NotAllowed(f"no Deployment …{ending} in the namespace {keda}")
    may = release.run("kubectl", "auth", "can-i", "patch", "deployments/scale", "-n", keda, check=False)
    if "yes" not in may:
        raise NotAllowed(f"scaling Deployments in the namespace {keda} is not allowed")
    target = ["kubectl", "-n", keda, "scale", f"deployment/{found[0]}"]

    def ready() -> int:
        status = client.AppsV1Api().read_namespaced_deployment(str(found[0]), keda).status
        return (status.ready_replicas or 0) if status else 0

    before = ready()
    if not before:
        raise NotAllowed(f"{found[0]} in the namespace {keda} is not ready anyway")
    release.run(*target, "--replicas=0")
    try:
        until(lambda: ready() == 0)
        yield
    finally:
        release.run(*target, f"--replicas={before}")
        until(lambda: ready() == before, 240)


def rolled(release: Release, deployment: str) -> None:
    """Restart a Deployment's pods in the way that its strategy says, and wait."""
    release.kubectl("rollout", "restart", f"deployment/{deployment}")
    release.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=300s")
