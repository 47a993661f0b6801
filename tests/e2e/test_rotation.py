"""`helm upgrade --set credentials.generation=…` under load: logins change, and no accepted task is lost."""

import json
import threading
from collections.abc import Callable
from typing import Any

import amqp
import pytest
import redis
from amqp.exceptions import AccessRefused
from kubernetes import client

from e2e.balanced import Load
from e2e.harness import QUICK, Release, submit, until, wait_for_all
from integration.harness import Background

pytestmark = pytest.mark.timeout(480)

# A pool whose tasks take a minute, whatever the others take.
LONG: dict[str, Any] = {
    "queues": ["long"],
    "longestTaskSeconds": 90,
    "extraEnv": {"STEPS": "60", "STEP_SECONDS": "1"},
    "autoscaling": {"mode": "none", "replicas": 1},
}
VALUES: dict[str, Any] = {"api": {"replicas": 2}, "extraEnv": {"STEPS": "1"}, "workers": {"long": LONG}}
TASK = "app.worker.celery_worker.test_celery"


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(QUICK, VALUES)
    return made


def rotate(release: Release, generation: int) -> None:
    release.install(release.values, {"credentials": {"generation": generation}})


def key(name: str, generation: int) -> str:
    return name if generation == 1 else f"{name}-{generation}"


def broker_takes(release: Release, generation: int, user: str = "stalk", name: str = "rabbitmq-password") -> bool:
    login = user if generation % 2 else f"{user}-even"
    with release.forwarded("service/stalk-rabbitmq", 5672) as address:
        connection = amqp.Connection(address, userid=login, password=release.secret(key(name, generation)))
        try:
            with connection:
                connection.connect()
        except AccessRefused:
            return False
        return True


def redis_takes(release: Release, generation: int) -> bool:
    with release.forwarded("service/stalk-redis", 6379) as address:
        host, _, port = address.partition(":")
        password = release.secret(key("redis-password", generation))
        with redis.Redis(host, int(port), password=password, socket_timeout=15) as server:
            try:
                server.ping()
            except redis.AuthenticationError:
                return False
            return True


def valid(release: Release, *generations: int) -> dict[int, tuple[bool, bool, bool]]:
    """Return by generation whether the app's and the worker's broker login and the Redis password are taken."""
    worker = {"user": "stalk-worker", "name": "rabbitmq-worker-password"}
    return {
        each: (broker_takes(release, each), broker_takes(release, each, **worker), redis_takes(release, each))
        for each in generations
    }


def start_long_task(release: Release) -> str:
    words = ["celery", "-A", "app.worker.celery_app", "call", TASK, '--args=["long"]', "--queue=long"]
    return release.kubectl("exec", "deployment/stalk-api", "--", *words).split()[-1]


class Logs(Background):
    """What the pods of a pool say, those that go included."""

    def __init__(self, release: Release, pool: str) -> None:
        super().__init__(self._follow)
        self.said: dict[str, str] = {}
        self._release = release
        self._selector = f"app.kubernetes.io/instance={release.name},stalk/pool={pool}"

    def _follow(self, end: threading.Event) -> None:
        while not end.wait(1):
            pods = client.CoreV1Api().list_namespaced_pod(self._release.namespace, label_selector=self._selector)
            for name in [str(pod.metadata.name) for pod in pods.items if pod.metadata]:
                text = self._release.kubectl("logs", name, check=False)
                self.said[name] = max(self.said.get(name, ""), text, key=len)

    def count(self, *words: str) -> int:
        lines = [line for text in self.said.values() for line in text.splitlines()]
        return sum(all(word in line for word in words) for line in lines)


def status(api: Any, task_id: str) -> str:
    return str(api.get(f"/process/{task_id}").json()["status"])


def test_rotation_under_load_loses_no_task(release: Release) -> None:
    assert valid(release, 1) == {1: (True, True, True)}
    long_task = start_long_task(release)
    with Logs(release, "long") as logs:
        until(lambda: logs.count("received", long_task))
        with Load(release) as load:
            until(lambda: len(load.accepted) > 20)
            rotate(release, 2)
            before = len(load.accepted)
            until(lambda: len(load.accepted) > before + 20)
        assert load.failed == []
        with release.api() as api:
            wait_for_all(api, load.accepted, timeout=240)
            until(lambda: status(api, long_task) == "SUCCESS", timeout=240)
        until(lambda: logs.count("succeeded", long_task))
    print(
        json.dumps(
            {
                "accepted": len(load.accepted),
                "unavailable": len(load.unavailable),
                "long task succeeded": logs.count("succeeded", long_task),
            }
        )
    )
    assert valid(release, 1, 2) == {1: (True, True, True), 2: (True, True, True)}


def test_the_second_rotation_ends_the_first_login(release: Release) -> None:
    rotate(release, 3)
    assert valid(release, 1, 2, 3) == {1: (False, False, False), 2: (True, True, True), 3: (True, True, True)}
    until(lambda: release.condition("Ready") == "True")
    assert "Succeeded" in release.helm("test")


def test_a_generation_too_far_is_refused_before_anything_changes(release: Release) -> None:
    with pytest.raises(AssertionError, match="helm"):
        rotate(release, 5)
    assert valid(release, 3) == {3: (True, True, True)}
    with release.api() as api:
        wait_for_all(api, [submit(api)])


def test_rollback_locks_nobody_out(release: Release) -> None:
    history = json.loads(release.helm("history", "-o", "json"))
    second = next(each["revision"] for each in history[1:] if each["status"] == "superseded")
    release.helm("rollback", str(second), "--wait")
    assert valid(release, 2, 3) == {2: (True, True, True), 3: (True, True, True)}
    with release.api() as api:
        wait_for_all(api, [submit(api)])
