"""What the chaos suite's faults read: how a container ended, whether a timeout struck, which letter is dead."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kubernetes.client.exceptions import ApiException

from e2e.chaos.faults import TIMED_OUT, drop_dead_letter, ended_with, exit_code, gone, logged, stopped_at
from e2e.harness import Release


def status(name: str = "worker", now: Any = None, last: Any = None) -> Any:
    return SimpleNamespace(
        name=name,
        state=SimpleNamespace(terminated=now),
        last_state=SimpleNamespace(terminated=last) if last else None,
    )


def terminated(code: int = 0, at: float = 100) -> Any:
    return SimpleNamespace(exit_code=code, finished_at=datetime.fromtimestamp(at, UTC))


class FakeRelease:
    """Answers kubectl commands by a word in them, and knows one pod."""

    fullname = "stalk"
    namespace = "stalk"

    def __init__(self, answers: dict[str, str] | None = None, uid: str | None = None) -> None:
        self.answers, self.uid = answers or {}, uid
        self.asked: list[tuple[str, ...]] = []

    def kubectl(self, *words: str, **_: Any) -> str:
        self.asked.append(words)
        return next((answer for word, answer in self.answers.items() if word in words), "")

    def pod(self, _: str) -> Any:
        if self.uid is None:
            raise ApiException(404)
        return SimpleNamespace(metadata=SimpleNamespace(uid=self.uid))


def faked(*args: Any) -> Any:
    return cast("Release", FakeRelease(*args))


def test_exit_code_is_that_of_the_worker() -> None:
    assert ended_with([status("other", terminated(1)), status(now=terminated(137))]) == 137
    assert ended_with([status()]) is None
    assert ended_with([status()], before=0) == 0


def test_worker_is_followed_until_its_pod_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(*events: tuple[str, Any]) -> None:
        made = [{"type": kind, "object": SimpleNamespace(status=each)} for kind, each in events]
        watch = SimpleNamespace(stream=lambda *_, **__: iter([*made[:1], None, *made[1:]]))
        monkeypatch.setattr("e2e.chaos.faults.watch.Watch", lambda: watch)

    running, ended = (SimpleNamespace(container_statuses=[each]) for each in (status(), status(now=terminated(0))))
    seen(("ADDED", running), ("MODIFIED", ended), ("DELETED", SimpleNamespace(container_statuses=None)))
    assert exit_code(faked(), "pod", 1) == 0
    seen(("ADDED", running), ("DELETED", running))
    with pytest.raises(AssertionError, match="did not say how"):
        exit_code(faked(), "pod", 1)
    seen(("ADDED", running))
    assert exit_code(faked(), "pod", 1) is None  # the watch broke off, and the pod is gone
    with pytest.raises(AssertionError, match="still there 1 s after"):
        exit_code(faked({}, "u1"), "pod", 1)


def test_container_was_stopped_at_the_end_of_that_second() -> None:
    assert stopped_at([status(last=terminated(137, at=100))], since=100.7) == 101
    assert stopped_at([status(now=terminated(137, at=100))], since=99) == 101
    assert stopped_at([status(last=terminated(137, at=100))], since=101.5) is None  # that was another time
    assert stopped_at([status()], since=0) is None


def test_pod_of_the_same_name_is_another_one() -> None:
    assert gone(faked({}, None), "redis-0", "u1")
    assert gone(faked({}, "u2"), "redis-0", "u1")
    assert not gone(faked({}, "u1"), "redis-0", "u1")
    assert not gone(faked({}, "u1"), "redis-0")


@pytest.mark.parametrize(
    "line",
    [
        # As RabbitMQ 4.0.5 says it, and as Celery repeats it.
        "Consumer 'None4' on channel 1 and queue 'q' in vhost '/' has timed out waiting for a consumer acknowledgement",
        "caused a channel exception precondition_failed: delivery acknowledgement on channel 1 timed out",
        "PreconditionFailed(406, 'PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value",
    ],
)
def test_timeout_that_struck_is_found_in_a_log(line: str) -> None:
    release = faked({"two": f"accepting AMQP connection\n{line}\n"})
    assert logged(release, ["one", "two"], "worker", TIMED_OUT, "2026-01-01T00:00:00Z") == line
    assert logged(release, ["one"], "worker", TIMED_OUT, "2026-01-01T00:00:00Z") is None


@pytest.mark.parametrize("line", ["connection timed out", "closing AMQP connection (client unexpectedly closed)"])
def test_other_lines_prove_no_timeout(line: str) -> None:
    assert not TIMED_OUT.search(line)


def test_the_one_dead_letter_is_read_and_dropped() -> None:
    letters = json.dumps([{"id": "a", "reason": "delivery_limit"}], indent=2)
    release = faked({"show": f"[warning] Defaulted\n{letters}\nmore", "drop": "dropped 1 message of q.dead-letters\n"})
    assert drop_dead_letter(release, "a") == "delivery_limit"
    assert release.asked[-1][-4:] == ("test-queue", "--id", "a", "--yes")
    for shown in (letters, "[]", json.dumps([{"id": "b"}, {"id": "a"}], indent=2)):
        other = faked({"show": shown, "drop": "dropped 1 message"})
        with pytest.raises(AssertionError, match="is not the one dead letter"):
            drop_dead_letter(other, "b" if shown == letters else "a")
        assert not any("drop" in words for words in other.asked)
