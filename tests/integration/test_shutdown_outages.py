"""A worker that stops, or runs a task, while the broker, Redis or both are away: what runs is finished, and once."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.counting import Counter
from integration.harness import Service, eventually
from local import RabbitMQ, Redis
from stalk.celery.running import LEASE_SECONDS

GOODBYE_SECONDS = 10
"""What the chart leaves between `SHUTDOWN_SECONDS` and SIGKILL."""
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with RabbitMQ(tmp_path_factory.mktemp("dying")) as running:
        yield running


@pytest.fixture
def counter(service: Service) -> Counter:
    return Counter(service)


@pytest.fixture
def word(tmp_path: Path) -> Path:
    """The file that a task waits for."""
    return tmp_path / "enough"


@pytest.mark.parametrize("redis_is", ["restarted", "frozen"])
def test_both_servers_go_and_come_back_and_what_runs_meanwhile_runs_once(
    counter: Counter, broker: RabbitMQ, redis: Redis, word: Path, redis_is: str
) -> None:
    first = counter.worker("one", "-c", "1")
    running = counter.send_until(word)
    counter.worker("two", "-c", "1")
    # The first stops, so that it does not come back for its message.
    os.kill(first.pid, signal.SIGTERM)
    eventually(lambda: "Stopping: 1 running" in counter.service.log("one"))
    eventually(counter.service.written_down)
    leave, come_back = (redis.kill, redis.start) if redis_is == "restarted" else (redis.pause, redis.resume)
    leave()
    try:
        gone = time.monotonic()
        broker.stop()
        broker.start()
        eventually(lambda: "Redis cannot tell" in counter.service.log("two"))
        eventually(lambda: time.monotonic() > gone + LEASE_SECONDS + 1, timeout=LEASE_SECONDS + 2)
    finally:
        come_back()
    eventually(lambda: "still runs on one@here" in counter.service.log("two"))
    word.touch()
    assert first.wait(60) == 0
    counter.wait_for(running)
    eventually(lambda: counter.ready() == 0)
    counter.wait_for(counter.quick())
    assert (counter.runs("begin"), counter.runs("end")) == (1, 1)


def test_a_channel_that_is_closed_does_not_end_what_runs(counter: Counter, word: Path) -> None:
    worker = counter.worker("one", "-c", "1")
    running = counter.send_until(word)
    os.kill(worker.pid, signal.SIGTERM)
    eventually(lambda: "Stopping: 1 running" in counter.service.log("one"))
    counter.app.control.broadcast("break_channel")
    eventually(lambda: "PRECONDITION_FAILED" in counter.service.log("one"))
    eventually(lambda: counter.ready() == 1)
    word.touch()
    assert worker.wait(60) == 0
    counter.wait_for(running)
    counter.worker("two", "-c", "1")
    eventually(lambda: counter.ready() == 0)
    counter.wait_for(counter.quick())
    assert (counter.runs("begin"), counter.runs("end")) == (1, 1)


def test_told_again_by_remote_control_it_still_gives_what_runs_its_time(counter: Counter, word: Path) -> None:
    worker = counter.worker("one", "-c", "1", env={"SHUTDOWN_SECONDS": "8"})
    running = counter.send_until(word)
    os.kill(worker.pid, signal.SIGTERM)
    eventually(lambda: "Stopping: 1 running" in counter.service.log("one"))
    counter.app.control.shutdown()
    eventually(lambda: "Got shutdown from remote" in counter.service.log("one"))
    assert counter.state(running).state == "STARTED"
    assert worker.wait(60) == 0
    assert (counter.state(running).state, counter.ready()) == ("RETRY", 1)


def test_told_by_remote_control_it_finishes_what_runs(counter: Counter, word: Path) -> None:
    worker = counter.worker("one", "-c", "1")
    running = counter.send_until(word)
    counter.app.control.shutdown()
    eventually(lambda: "Stopping: 1 running" in counter.service.log("one"))
    word.touch()
    assert worker.wait(60) == 0
    assert counter.state(running).state == "SUCCESS"
    assert (counter.runs("begin"), counter.runs("end"), counter.ready()) == (1, 1, 0)


def test_told_in_the_moment_in_which_the_broker_dies_it_hears_of_the_end_of_its_task(
    counter: Counter, broker: RabbitMQ, word: Path
) -> None:
    worker = counter.worker("one", "-c", "1")
    running = counter.send_until(word)
    eventually(counter.service.written_down)
    # Both wait for it when it goes on.
    os.kill(worker.pid, signal.SIGSTOP)
    broker.kill()
    try:
        os.kill(worker.pid, signal.SIGTERM)
        os.kill(worker.pid, signal.SIGCONT)
        eventually(lambda: "Stopping" in counter.service.log("one"))
        word.touch()
        assert worker.wait(30) == 0
    finally:
        broker.start()
    assert counter.state(running).state == "SUCCESS"
    counter.worker("two", "-c", "1")
    eventually(lambda: counter.ready() == 0)
    counter.wait_for(counter.quick())
    assert (counter.runs("begin"), counter.runs("end")) == (1, 1)


@pytest.mark.parametrize(
    ("pool", "frozen"),
    [
        ("prefork", "Redis"),
        ("prefork", "both servers"),
        ("prefork", "Redis and a task"),
        ("threads", "Redis"),
        ("threads", "both servers"),
    ],
)
def test_what_hangs_at_the_deadline_does_not_hold_it_up(
    counter: Counter, broker: RabbitMQ, redis: Redis, word: Path, pool: str, frozen: str
) -> None:
    worker = counter.worker("one", "-c", "2", "-P", pool, env={"SHUTDOWN_SECONDS": "2"})
    counter.send_until(word)
    if frozen == "Redis and a task":
        os.kill(int(counter.file.read_text().split()[1]), signal.SIGSTOP)
    servers = [redis, broker] if frozen == "both servers" else [redis]
    for server in servers:
        server.pause()
    try:
        told = time.monotonic()
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(30) == 0
        assert time.monotonic() - told < 2 + 2 * GOODBYE_SECONDS, "a unit test pins the time itself"
    finally:
        for server in servers:
            server.resume()
    eventually(lambda: counter.ready() == 1)
    assert counter.runs("begin") == 1
