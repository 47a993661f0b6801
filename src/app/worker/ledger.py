"""The ledger task: it does what an `Order` says, and writes each run down. Part of the app with `LEDGER=true`."""

import os
import signal
import socket
import time
import uuid
from functools import cache
from typing import Any, Literal

from celery import Task
from celery.exceptions import Retry
from celery.utils.log import get_task_logger
from redis import Redis
from redis.exceptions import RedisError

from app.ledger import TASK_NAME, Order, Record, ledger_key
from app.worker.celery_app import celery_app, settings

__all__ = ["ledger"]

log = get_task_logger(__name__)

STEP_SECONDS = 0.2
PAUSE_SECONDS = 0.5
"""Between two tries to reach Redis."""


@cache
def _redis() -> Redis:
    # Made by the process that runs the task, never before the fork.
    return Redis.from_url(settings.results_url(), socket_connect_timeout=2, socket_timeout=5)


class _Book:
    """The records of one run; each method returns when Redis has answered, however long it is away."""

    def __init__(self, task_id: str) -> None:
        self._key = ledger_key(task_id)
        self._run = str(uuid.uuid4())

    def write(self, event: Literal["start", "end", "retry"]) -> None:
        record = Record(event, self._run, socket.gethostname(), os.getpid(), time.time()).encode()

        def push() -> None:
            pipeline = _redis().pipeline()
            pipeline.rpush(self._key, record)
            pipeline.expire(self._key, settings.result_expires_seconds)
            pipeline.execute()

        self._insist(push)

    def is_first(self) -> bool:
        """Tell whether no other run was written down."""

        def read() -> list[Record]:
            return [Record.decode(text) for text in _redis().lrange(self._key, 0, -1)]

        return all(record.run == self._run for record in self._insist(read))

    def _insist(self, command: Any) -> Any:
        while True:
            try:
                return command()
            except (RedisError, OSError) as error:
                log.warning("the ledger waits for Redis: %s", error)
                time.sleep(PAUSE_SECONDS)


@celery_app.task(name=TASK_NAME, bind=True)
def ledger(self: Task[[dict[str, Any]], str], order: dict[str, Any]) -> str:
    """Do what the order says and return the run's number among the runs of this id that ended."""
    asked = Order.model_validate(order)
    book = _Book(str(self.request.id))
    book.write("start")
    if asked.poison:
        os.kill(os.getpid(), signal.SIGKILL)
    if asked.memory_mb and book.is_first():
        _eat(asked.memory_mb)
    _sleep(asked.seconds)
    if asked.retry_countdown and self.request.retries == 0:
        try:
            self.retry(countdown=asked.retry_countdown)
        except Retry:
            book.write("retry")
            raise
    book.write("end")
    return "done"


def _sleep(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, STEP_SECONDS))


def _eat(megabytes: int) -> None:
    """Hold so much memory, every page of it written to."""
    held = []
    for _ in range(megabytes):
        held.append(b"\1" * (1 << 20))
