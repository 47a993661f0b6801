"""What is done with a message that RabbitMQ delivers a second time."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.worker import state

from stalk.celery.redelivery import Redeliveries
from stalk.celery.running import Owner


class Message:
    """As much of kombu's as is looked at."""

    def __init__(self, task_id: str | None = "a", redelivered: bool = True) -> None:
        self.delivery_info = {"redelivered": redelivered}
        self.headers = {"id": task_id} if task_id else {}
        self.said: list[str] = []

    def ack_log_error(self, *_: object) -> None:
        self.said.append("ack")

    def reject_log_error(self, *_: object) -> None:
        self.said.append("reject")


class Request:
    id, name, acknowledged = "a", "task", False
    _message: Any = None
    _on_ack: Callable[..., Any]
    on_reject: Callable[..., Any]


class World:
    """A worker named `me` with a clock of its own, and what Redis would answer."""

    hostname = "me"
    connection_errors = (OSError,)

    def __init__(self) -> None:
        self.owner: Owner = ""
        self.now = 0.0
        self.later: list[tuple[float, Callable[..., Any], tuple[Any, ...]]] = []
        self.started: list[Any] = []
        self.timer = self
        self.messages = Redeliveries(self, self, self.started.append)  # type: ignore[arg-type]

    def call_after(self, seconds: float, what: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.later.append((self.now + seconds, what, args))

    def call_soon(self, what: Callable[..., Any], *args: Any) -> None:
        what(*args)

    call_soon_ack = call_soon

    def ask(self, _task_id: str, answer: Callable[[Owner], None]) -> None:
        answer(self.owner)

    def run(self, until: float) -> None:
        """Let time pass."""
        while self.later and min(self.later)[0] <= until:
            first = min(self.later, key=lambda entry: entry[0])
            self.later.remove(first)
            self.now = first[0]
            first[1](*first[2])
        self.now = until


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def running() -> Iterator[Request]:
    """Give a task that runs in this worker."""
    request = Request()
    state.requests["a"] = request
    state.active_requests.add(request)
    yield request
    state.reset_state()


@pytest.mark.parametrize("message", [Message(redelivered=False), Message(task_id=None)])
def test_other_messages_are_not_touched(world: World, message: Message) -> None:
    assert not world.messages.takes(message)  # type: ignore[arg-type]
    assert world.later == []


@pytest.mark.parametrize("owner", ["", "me"])
def test_a_task_that_runs_nowhere_begins_after_a_look(world: World, owner: str) -> None:
    world.owner = owner
    message = Message()
    assert world.messages.takes(message)  # type: ignore[arg-type]
    assert world.started == [], "who has lost its connection needs a moment to say so"
    world.run(1)
    assert world.started == [message]


def test_a_task_that_runs_elsewhere_waits_until_it_does_not(world: World) -> None:
    world.owner = "other"
    message = Message()
    world.messages.takes(message)  # type: ignore[arg-type]
    world.run(300)
    assert world.started == []
    world.owner = ""
    world.run(303)
    assert world.started == [message]


def test_without_redis_it_waits_until_redis_says_that_nobody_runs_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="stalk.celery.redelivery")
    world.owner = None
    message = Message()
    world.messages.takes(message)  # type: ignore[arg-type]
    world.run(3600)
    assert world.started == []
    assert caplog.text.count("Redis cannot tell") == 1, "not with every look"
    world.owner = "other"
    world.run(3700)
    assert world.started == []
    assert caplog.text.count("still runs on other") == 1
    world.owner = ""
    world.run(3703)
    assert world.started == [message]


def test_what_is_let_go_is_never_begun(world: World) -> None:
    message = Message()
    world.messages.takes(message)  # type: ignore[arg-type]
    assert len(world.messages.let_go()) == 1
    world.run(10)
    assert world.started == []


def test_a_task_that_runs_here_acknowledges_the_new_delivery(world: World, running: Request) -> None:
    message = Message()
    assert world.messages.takes(message)  # type: ignore[arg-type]
    assert (world.started, message.said) == ([], [])
    running._on_ack(None, ())
    running.on_reject(None, (), True)
    assert (running._message, message.said) == (message, ["ack", "reject"])


def test_a_task_that_is_acknowledged_already_gives_its_ack_again(world: World, running: Request) -> None:
    running.acknowledged = True
    message = Message()
    assert world.messages.takes(message)  # type: ignore[arg-type]
    assert message.said == ["ack"]
