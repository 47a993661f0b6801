"""A worker that is told to stop, or loses its connection: nothing is lost, nothing runs twice for no reason."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.counting import Counter
from integration.harness import Service, end_tree, eventually
from integration.lines import Lines
from local import RabbitMQ
from stalk.celery.keys import running_key

HEARTBEAT = 3
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """Give a broker that cuts a connection which is silent for more than a few seconds."""
    server = RabbitMQ(tmp_path_factory.mktemp("impatient"))
    server.extra_config = [f"heartbeat = {HEARTBEAT}"]
    with server as running:
        yield running


@pytest.fixture
def counter(service: Service) -> Counter:
    return Counter(service)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_what_runs_is_finished_with_heartbeats_and_the_exit_code_is_0(counter: Counter, pool: str) -> None:
    worker = counter.worker("one", "-c", "2", "-P", pool)
    running = counter.send(6 * HEARTBEAT)
    counter.wait_for(running, "STARTED")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(60) == 0
    assert counter.state(running).state == "SUCCESS"
    assert (counter.runs("begin"), counter.runs("end"), counter.ready()) == (1, 1, 0)
    assert "the broker is gone" not in counter.service.log("one")


def test_messages_not_begun_go_back_at_once(counter: Counter, tmp_path: Path) -> None:
    worker = counter.worker("one", "-c", "1", "--prefetch-multiplier", "4")
    running = counter.send_until(tmp_path / "enough")
    waiting = [counter.quick() for _ in range(3)]
    eventually(lambda: counter.ready() == 0)
    os.kill(worker.pid, signal.SIGTERM)
    eventually(lambda: counter.ready() == 3, timeout=5)
    assert counter.state(running).state == "STARTED"
    counter.worker("two")
    for task_id in waiting:
        counter.wait_for(task_id)
    assert counter.state(running).state == "STARTED"
    (tmp_path / "enough").touch()
    assert worker.wait(60) == 0
    assert (counter.runs("begin"), counter.runs("end")) == (1, 1)
    assert "the broker is gone" not in counter.service.log("one"), "nothing was said that it does not understand"


def test_what_waits_for_its_time_or_its_rate_goes_back_at_once(counter: Counter) -> None:
    worker = counter.worker("one", "-c", "1", "--prefetch-multiplier", "6")
    counter.wait_for(counter.send(12), "STARTED")
    counter.send_plainly("quick", countdown=3600)
    for _ in range(3):
        counter.send_plainly("rare")
    eventually(lambda: counter.service.log("one").count("received") == 5)
    os.kill(worker.pid, signal.SIGTERM)
    # The first of the rate-limited ones waits for the process that is busy.
    eventually(lambda: counter.ready() == 4, timeout=5)
    assert worker.wait(60) == 0
    assert counter.runs("end") == 1


def test_a_running_task_can_be_revoked_while_its_worker_stops(counter: Counter) -> None:
    worker = counter.worker("one", "-c", "1")
    task_id = counter.send(60)
    counter.wait_for(task_id, "STARTED")
    os.kill(worker.pid, signal.SIGTERM)
    eventually(lambda: "Stopping: 1 running" in counter.service.log("one"))
    counter.app.control.revoke(task_id, terminate=True)
    assert worker.wait(30) == 0
    assert (counter.state(task_id).state, counter.ready()) == ("REVOKED", 0)


def test_nothing_is_taken_after_the_word(counter: Counter) -> None:
    worker = counter.worker("one", "-c", "2")
    counter.wait_for(counter.send(8), "STARTED")
    os.kill(worker.pid, signal.SIGTERM)
    eventually(lambda: "Stopping: 1 running" in counter.service.log("one"))
    assert not (counter.service.folder / "one" / "ready").exists()
    counter.quick()
    eventually(lambda: counter.ready() == 1)
    assert worker.wait(60) == 0
    assert counter.ready() == 1


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_past_its_time_a_task_goes_back_and_its_state_says_so(counter: Counter, pool: str) -> None:
    worker = counter.worker("one", "-c", "2", "-P", pool, env={"SHUTDOWN_SECONDS": "2"})
    task_id = counter.send(40)
    counter.wait_for(task_id, "STARTED")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(20) == 0
    assert counter.ready() == 1
    state = counter.state(task_id)
    assert state.state == "RETRY"
    assert "worker one@here was told to stop, and its 2 s are over" in str(state.result)
    assert counter.runs("begin") == 1
    assert counter.runs("interrupted") == (1 if pool == "prefork" else 0)
    assert counter.service.redis.client().get(running_key(task_id)) is None

    counter.worker("two", env={"SHUTDOWN_SECONDS": "1"})
    started = time.monotonic()
    eventually(lambda: counter.runs("begin") == 2)
    assert time.monotonic() - started < 10, "nobody runs it: nothing is waited for"


def test_a_child_that_ignores_sigterm_is_killed_before_its_task_goes_back(counter: Counter) -> None:
    worker = counter.worker("one", "-c", "1", env={"SHUTDOWN_SECONDS": "0"})
    counter.wait_for(counter.send(40), "STARTED")
    child = int(counter.file.read_text().split()[1])
    os.kill(child, signal.SIGSTOP)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(20) == 0
    assert counter.ready() == 1
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_sigquit_while_finishing_ends_at_once(counter: Counter) -> None:
    worker = counter.worker("one", "-c", "1")
    counter.wait_for(counter.send(40), "STARTED")
    os.kill(worker.pid, signal.SIGTERM)
    eventually(lambda: "Stopping: 1 running" in counter.service.log("one"))
    os.kill(worker.pid, signal.SIGQUIT)
    worker.wait(20)
    eventually(lambda: counter.ready() == 1)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_connection_lost_does_not_run_its_task_twice(counter: Counter, broker: RabbitMQ, pool: str) -> None:
    counter.worker("one", "-c", "2", "-P", pool)
    running = counter.send(20)
    counter.wait_for(running, "STARTED")
    Lines(broker, counter.service.queue).cut()
    eventually(lambda: "it keeps its message" in counter.service.log("one"))
    counter.wait_for(running)
    eventually(lambda: counter.ready() == 0)
    counter.wait_for(counter.quick())
    assert (counter.runs("begin"), counter.runs("end")) == (1, 1)


def test_another_worker_waits_for_the_one_that_lost_its_connection(counter: Counter, broker: RabbitMQ) -> None:
    first = counter.worker("one", "-c", "1")
    running = counter.send(25)
    counter.wait_for(running, "STARTED")
    lines = Lines(broker, counter.service.queue)
    # The first stops, so that it does not come back for its message.
    os.kill(first.pid, signal.SIGTERM)
    counter.worker("two", "-c", "1")
    eventually(lambda: "Stopping: 1 running" in counter.service.log("one"))
    lines.cut()
    eventually(lambda: "still runs on one@here" in counter.service.log("two"), timeout=20)
    assert first.wait(60) == 0
    counter.wait_for(running)
    eventually(lambda: counter.ready() == 0)
    counter.wait_for(counter.quick())
    assert (counter.runs("begin"), counter.runs("end")) == (1, 1)


@pytest.mark.parametrize("outage", [3, 8])
def test_a_broker_that_restarts_while_a_task_runs_does_not_run_it_twice(
    counter: Counter, broker: RabbitMQ, outage: int
) -> None:
    counter.worker("one", "-c", "1")
    counter.worker("two", "-c", "1")
    running = counter.send(15)
    counter.wait_for(running, "STARTED")
    eventually(counter.service.written_down)
    broker.stop()
    time.sleep(outage)
    broker.start()
    counter.wait_for(running)
    counter.wait_for(counter.quick())
    assert (counter.runs("begin"), counter.runs("end")) == (1, 1)


def test_the_task_of_a_worker_that_was_killed_is_run_by_another(counter: Counter) -> None:
    workers = {f"{name}@here": counter.worker(name, "-c", "1") for name in ("one", "two")}
    task_id = counter.send(6)
    counter.wait_for(task_id, "STARTED")
    first = eventually(lambda: counter.service.redis.client().get(running_key(task_id)))
    end_tree(workers[first].pid)
    counter.wait_for(task_id, timeout=40)
    assert (counter.runs("begin"), counter.runs("end")) == (2, 1)


def test_told_to_stop_without_a_broker_it_finishes_what_runs(counter: Counter, broker: RabbitMQ) -> None:
    worker = counter.worker("one", "-c", "1")
    task_id = counter.send(15)
    counter.wait_for(task_id, "STARTED")
    eventually(counter.service.written_down)
    broker.stop()
    try:
        eventually(lambda: "Connection to broker lost" in counter.service.log("one"))
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(60) == 0
        assert counter.runs("end") == 1
    finally:
        broker.start()
    counter.worker("two")
    eventually(lambda: counter.ready() == 0)
    assert counter.state(task_id).state == "SUCCESS"
    counter.wait_for(counter.quick())
    assert counter.runs("begin") == 1
