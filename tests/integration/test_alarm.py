"""A worker beside a RabbitMQ that has raised its memory alarm: it reads nothing any more from whoever has published."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration.counting import Counter
from integration.harness import Service, eventually
from integration.lines import Lines
from local import RabbitMQ
from stalk.celery.heartbeat import INTERVAL

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with RabbitMQ(tmp_path_factory.mktemp("full")) as running:
        yield running


@contextmanager
def alarmed(broker: RabbitMQ) -> Iterator[None]:
    broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        yield
    finally:
        broker.control("set_vm_memory_high_watermark", "0.6")


def beats(alive: Path) -> None:
    """Wait for a heartbeat of the file's; Celery's own event comes every two seconds."""
    last = alive.stat().st_mtime
    eventually(lambda: alive.stat().st_mtime > last, INTERVAL + 10)


def test_a_worker_goes_on_and_can_stop(service: Service, broker: RabbitMQ, tmp_path: Path) -> None:
    counter, word = Counter(service), tmp_path / "enough"
    worker = counter.worker("one", "-c", "1")
    alive = service.folder / "one" / "alive"
    running = counter.send_until(word)
    with alarmed(broker):
        eventually(lambda: "RabbitMQ has an alarm" in service.log("one"))
        beats(alive)
        Lines(broker, service.queue).cut()
        eventually(lambda: "Connection to broker lost" in service.log("one"))
        for _ in range(3):
            beats(alive)
        word.touch()
        counter.wait_for(running)
    eventually(lambda: "RabbitMQ's alarm is over" in service.log("one"))
    counter.wait_for(counter.quick())
    with alarmed(broker):
        eventually(lambda: service.log("one").count("RabbitMQ has an alarm") == 2)
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(30) == 0
    eventually(lambda: counter.ready() == 0)
