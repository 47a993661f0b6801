"""What a worker is told of tasks that may run elsewhere, when Redis goes away and comes back."""

import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from stalk.celery import running as module
from stalk.celery.keys import running_key
from stalk.celery.running import SETTLED_SECONDS, RunningTasks

KEY = running_key("a")


class World:
    """As much of Redis as is asked, and the clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.keys: dict[str, str] = {}
        self.away = False
        self.started = 0.0
        self.may_info = True
        self.may_get = True
        self.read_only = False
        self.commands: list[Callable[[], Any]] = []

    def monotonic(self) -> float:
        return self.now

    def answer(self) -> None:
        if self.away:
            raise RedisTimeoutError

    def get(self, key: str) -> str | None:
        self.answer()
        if not self.may_get:
            raise NoPermissionError
        return self.keys.get(key)

    def info(self, _section: str) -> dict[str, float]:
        self.answer()
        if not self.may_info:
            raise NoPermissionError
        return {"uptime_in_seconds": self.now - self.started}

    def pipeline(self, **_: Any) -> "World":
        self.commands = [self.answer]
        return self

    def set(self, key: str, value: str, ex: int) -> None:
        assert ex == module.LEASE_SECONDS

        def write() -> None:
            if self.read_only:
                raise ReadOnlyError
            self.keys[key] = value

        self.commands.append(write)

    def delete(self, key: str) -> None:
        self.commands.append(lambda: self.keys.pop(key, None))

    def execute(self) -> None:
        for command in self.commands:
            command()

    def close(self) -> None:
        pass


class Asked:
    """A worker's thread that is asked; nothing runs there unless named."""

    def __init__(self, here: set[str]) -> None:
        self.here = here
        self._tasks = RunningTasks("redis://nowhere", "me", lambda: self.here)
        self._tasks.start()

    def owner(self) -> str | None:
        answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._tasks.ask("a", answers.put)
        return answers.get(timeout=10)

    def tell(self) -> None:
        self._tasks.tell()
        self._tasks.given_back([])  # it is done by then

    def end(self) -> None:
        self._tasks.end()
        self._tasks.join(10)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr("redis.Redis.from_url", lambda *_, **__: made)
    return made


@pytest.fixture
def asked(world: World) -> Iterator[Asked]:
    made = Asked(set())
    yield made
    made.end()


def test_nobody_runs_it_and_nothing_is_waited_for(asked: Asked) -> None:
    assert asked.owner() == ""


def test_somebody_who_says_so_is_believed_at_once(world: World) -> None:
    world.keys[KEY] = "other"
    worker = Asked(set())
    assert worker.owner() == "other"
    worker.end()


def test_a_missing_key_is_no_answer_until_redis_has_answered_for_long_enough(world: World, asked: Asked) -> None:
    world.away = True
    assert asked.owner() is None
    world.now += 60
    world.away = False
    assert asked.owner() is None, "its worker could not say so meanwhile"
    world.now += SETTLED_SECONDS - 0.1
    assert asked.owner() is None
    world.now += 0.2
    assert asked.owner() == ""


def test_an_outage_is_noticed_by_who_runs_nothing_and_asks_for_nothing(world: World, asked: Asked) -> None:
    assert asked.owner() == ""
    world.away = True
    asked.tell()
    world.away = False
    assert asked.owner() is None


def test_a_missing_key_is_no_answer_from_a_redis_that_has_just_started(world: World, asked: Asked) -> None:
    world.started = world.now - 1
    assert asked.owner() is None
    world.now += SETTLED_SECONDS
    assert asked.owner() == ""


def test_a_redis_that_does_not_tell_its_uptime_is_believed(world: World, asked: Asked) -> None:
    world.may_info = False
    assert asked.owner() == ""


def test_a_redis_that_takes_no_writes_cannot_know(world: World, asked: Asked) -> None:
    world.read_only = True
    asked.tell()
    assert asked.owner() is None, "its worker can say nothing there"
    world.read_only = False
    assert asked.owner() is None
    world.now += SETTLED_SECONDS
    assert asked.owner() == ""


def test_a_user_who_may_not_ask_waits_for_nothing(world: World, asked: Asked) -> None:
    world.may_get = False
    assert asked.owner() == ""


def test_what_runs_here_is_said_again_after_an_outage(world: World) -> None:
    worker = Asked({"a"})
    worker.tell()
    assert world.keys == {KEY: "me"}
    world.keys.clear()
    worker.tell()
    assert world.keys == {KEY: "me"}
    worker.here = set()
    worker.tell()
    assert KEY not in world.keys
    worker.end()
