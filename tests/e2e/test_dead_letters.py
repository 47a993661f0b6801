"""`stalk dead-letters` as people type it on a cluster: by `kubectl exec` in the API's pod."""

import json
from collections.abc import Callable
from typing import Any

import amqp
import pytest

from charting.rendering import merged
from e2e.harness import QUICK, Release, submit, until, wait_for_all

pytestmark = pytest.mark.timeout(600)

QUEUE = "test-queue"
# No worker until the test asks for one: nobody takes what it wants to be dead.
VALUES = merged(
    QUICK, {"flower": {"enabled": False}, "workerDefaults": {"autoscaling": {"mode": "none", "replicas": 0}}}
)


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(VALUES)
    return made


def dead_letters(release: Release, *words: str) -> str:
    return release.kubectl("exec", f"deploy/{release.fullname}-api", "--", "stalk", "dead-letters", *words)


def listed(release: Release) -> int:
    """Return how many there are, by the queues that the pod's environment names."""
    found: list[dict[str, Any]] = json.loads(dead_letters(release, "list", "--json"))
    assert QUEUE in {each["queue"] for each in found}
    return sum(each["count"] for each in found)


def reject(release: Release, number: int) -> None:
    """Take so many messages and refuse them, as a worker that cannot read them does."""
    with release.forwarded(f"service/{release.fullname}-rabbitmq", 5672) as address:
        password = release.secret("rabbitmq-password")
        with amqp.Connection(address, userid="stalk", password=password) as connection:
            channel = connection.channel()
            for _ in range(number):
                message = until(lambda: channel.basic_get(QUEUE))
                channel.basic_reject(message.delivery_tag, requeue=False)


def test_each_command_in_the_apis_pod(release: Release) -> None:
    with release.api() as api:
        again, never, too = ids = [submit(api, f"word-{number}") for number in range(3)]
        reject(release, len(ids))
        until(lambda: listed(release) == len(ids))

        letters = json.loads(dead_letters(release, "show", "--queue", QUEUE, "--json"))
        assert {letter["id"]: (letter["reason"], letter["state"]) for letter in letters} == dict.fromkeys(
            ids, ("rejected", "PENDING")
        )
        shown = dead_letters(release, "show", "--queue", QUEUE, "--id", never)
        assert "app.worker.celery_worker.test_celery" in shown
        assert again not in shown

        assert dead_letters(release, "drop", "--queue", QUEUE, "--id", never, "--yes").startswith(
            "dropped 1 dead letter"
        )
        assert api.get(f"/tasks/{never}").json()["status"] == "REVOKED"

        would = dead_letters(release, "replay", "--queue", QUEUE, "--all", "--dry-run")
        assert [line.split()[2] for line in would.splitlines()] == [again, too]
        assert (
            dead_letters(release, "replay", "--queue", QUEUE, "--id", again) == f"replayed 1 dead letter to {QUEUE}\n"
        )
        assert listed(release) == 1
        release.kubectl("scale", f"deployment/{release.fullname}-worker-default", "--replicas=1")
        wait_for_all(api, [again])
        assert dead_letters(release, "replay", "--queue", QUEUE, "--all") == f"replayed 1 dead letter to {QUEUE}\n"
        wait_for_all(api, [too])
        assert listed(release) == 0
        assert api.get(f"/tasks/{never}").json()["status"] == "REVOKED"
