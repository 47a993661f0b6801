"""How long tasks wait is counted in the worker, and summed in Redis."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from redis.exceptions import ConnectionError as RedisConnectionError

from stalk.celery import configure, waits
from stalk.celery.waits import BOUNDS, DUE, Waits, due, queue_of, started
from stalk.settings import ConnectionSettings

NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def at_zero(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("stalk.celery.waits.time.time", lambda: NOW)
    waits._take()
    yield
    waits._take()


class Store:
    """As much of Redis as is used."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.away = False
        self._waiting: list[tuple[str, float]] = []

    def pipeline(self, transaction: bool) -> "Store":
        assert transaction
        self._waiting = []
        return self

    def hincrby(self, _key: str, field: str, count: float) -> None:
        self._waiting.append((field, count))

    hincrbyfloat = hincrby

    def execute(self) -> None:
        if self.away:
            raise RedisConnectionError
        for field, count in self._waiting:
            self.sums[field] = self.sums.get(field, 0) + count

    def close(self) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setattr("stalk.celery.waits.Redis.from_url", lambda *_, **__: made)
    return made


@pytest.mark.parametrize(
    ("waited", "bound"),
    [(-60.0, "0.05"), (0.0, "0.05"), (0.25, "0.25"), (0.28125, "0.5"), (59.0, "60.0"), (9e5, "inf")],
)
def test_a_wait_is_in_one_bucket_and_never_below_zero(store: Store, waited: float, bound: str) -> None:
    started({DUE: NOW}, "mail", False, NOW + waited)
    Waits("redis://").flush()
    assert store.sums == {f"{bound}|mail": 1, "sum|mail": max(0.0, waited)}


def test_a_message_that_was_delivered_before_is_not_timed(store: Store) -> None:
    started({DUE: NOW}, "mail", True, NOW + 5)
    Waits("redis://").flush()
    assert store.sums == {"redelivered|mail": 1}


def test_a_message_without_the_header_counts_for_nothing(store: Store) -> None:
    started({}, "mail", False, NOW)
    started({DUE: "yesterday"}, "mail", False, NOW)
    Waits("redis://").flush()
    assert store.sums == {}


def test_what_redis_did_not_take_is_told_later(store: Store) -> None:
    told = Waits("redis://")
    store.away = True
    started({DUE: NOW}, "mail", False, NOW + 2)
    told.flush()
    assert store.sums == {}
    store.away = False
    started({DUE: NOW}, "mail", False, NOW + 2)
    told.flush()
    told.flush()
    assert store.sums == {"2.5|mail": 2, "sum|mail": 4.0}


def test_what_is_left_is_told_at_the_end(store: Store) -> None:
    told = Waits("redis://")
    told.start()
    started({DUE: NOW}, "mail", False, NOW)
    told.end()
    told.join(10)
    assert store.sums["0.05|mail"] == 1


def test_a_countdown_is_no_wait() -> None:
    later = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=90)
    assert due(None) == NOW
    assert due(later.isoformat()) == NOW + 90
    assert due((later - timedelta(days=1)).isoformat()) == NOW


@pytest.mark.parametrize(
    ("key", "queue"), [("mail", "mail"), ("0.0.1.0.1.mail", "mail"), ("0.1.high.mail", "high.mail"), ("else", "else")]
)
def test_the_queue_of_a_delayed_message_is_found(key: str, queue: str) -> None:
    assert queue_of(key, ["pictures", "high.mail", "mail"]) == queue


def test_bounds_rise_and_end_in_infinity() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert BOUNDS[-1] == float("inf")


class Producer:
    """Keeps the headers of what is published."""

    def __init__(self) -> None:
        self.headers: dict[str, Any] = {}

    def publish(self, *_: Any, headers: dict[str, Any], **__: Any) -> None:
        self.headers = headers


@pytest.mark.parametrize(("options", "expected"), [({}, NOW), ({"countdown": 30}, NOW + 30)])
def test_every_message_says_when_its_task_may_start(options: dict[str, Any], expected: float) -> None:
    app = configure(Celery("test", set_as_current=False), ConnectionSettings(), ["mail"])
    app.now = lambda: datetime.fromtimestamp(NOW, UTC)  # type: ignore[method-assign]
    producer: Any = Producer()
    message = app.amqp.create_task_message("id", "task", **options)
    # A retry brings the headers of the first try with it, and waits anew.
    app.amqp.send_task_message(producer, "task", message, queue="mail", headers={DUE: 1.0, "mine": "kept"})
    assert producer.headers[DUE] == expected
    assert producer.headers["mine"] == "kept"


def test_workers_count_with_the_request_that_tasks_name() -> None:
    app = configure(Celery("test", set_as_current=False), ConnectionSettings(), ["mail"])
    assert app.Task.Request == "stalk.celery.request:Request"
