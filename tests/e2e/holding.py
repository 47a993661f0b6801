"""Tasks that keep the workers of `apps/holder.py` busy, and which pods they run in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from kubernetes import client

from charting.rendering import Values
from e2e.harness import Release, until
from e2e.mounted import mounted
from stalk.celery import configure
from stalk.settings import ConnectionSettings

__all__ = ["HOLDER", "Holder"]

# Ten of them shall fit on a small machine: one process each, nearly no CPU asked for.
HOLDER: Values = mounted("holder") | {
    "workers": {
        "default": {
            "queues": ["hold"],
            "pool": "threads",
            "longestTaskSeconds": 90,
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
            "autoscaling": {"mode": "none"},
        }
    },
}


class Holder:
    """A client of the app, and a hand on the number of its pods, as the autoscaler's."""

    def __init__(self, release: Release, app: Celery) -> None:
        self.release, self._app = release, app

    @classmethod
    @contextmanager
    def of(cls, release: Release) -> Iterator["Holder"]:
        """Reach the release's broker and Redis through port-forwards."""
        name = release.fullname
        with (
            release.forwarded(f"service/{name}-rabbitmq", 5672) as broker,
            release.forwarded(f"service/{name}-redis", 6379) as redis,
        ):
            parts = {
                "broker_host": "127.0.0.1",
                "broker_port": int(broker.rpartition(":")[2]),
                "broker_user": "stalk",
                "broker_password": release.secret("rabbitmq-password"),
                "redis_host": "127.0.0.1",
                "redis_port": int(redis.rpartition(":")[2]),
                "redis_password": release.secret("redis-password"),
            }
            app = configure(Celery("holder"), ConnectionSettings.model_validate(parts), ["hold"])
            yield cls(release, app)
            app.close()

    def hold(self, *seconds: float) -> list[AsyncResult[Any]]:
        """Send tasks of these lengths."""
        return [self._app.send_task("hold", [each]) for each in seconds]

    def pods_of(self, tasks: Sequence[AsyncResult[Any]]) -> set[str]:
        """Wait until all of them run, and return the pods that run them."""
        until(lambda: all(task.state == "STARTED" for task in tasks))
        return {str(task.info["hostname"]).partition("@")[2] for task in tasks}

    def costs(self) -> dict[str, str]:
        """Return the deletion cost of each pod that has one and does not end."""
        name = "controller.kubernetes.io/pod-deletion-cost"
        found = {pod.metadata.name: pod.metadata.annotations or {} for pod in self._pods()}
        return {pod: annotations[name] for pod, annotations in found.items() if name in annotations}

    def staying(self) -> set[str]:
        """Return the pods that were not told to stop."""
        return {pod.metadata.name for pod in self._pods()}

    def scale(self, number: int) -> None:
        """Ask for so many pods, through the subresource that the HorizontalPodAutoscaler uses."""
        body: dict[str, Any] = {"spec": {"replicas": number}}
        name = f"{self.release.fullname}-worker-default"
        client.AppsV1Api().patch_namespaced_deployment_scale(name, self.release.namespace, body)

    def scale_and_wait(self, number: int) -> set[str]:
        """Ask for so many pods, wait until they work, and return them."""
        self.scale(number)
        until(lambda: (self.release.worker().status.ready_replicas or 0) == number == self.release.replicas(), 240)
        return self.staying()

    def _pods(self) -> list[Any]:
        selector = f"app.kubernetes.io/instance={self.release.name},stalk/pool=default"
        found = client.CoreV1Api().list_namespaced_pod(self.release.namespace, label_selector=selector).items
        return [pod for pod in found if pod.metadata.deletion_timestamp is None]  # type: ignore[union-attr]
