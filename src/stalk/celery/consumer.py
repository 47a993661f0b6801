"""Celery's consumer, kept from two things that would cost a task or a worker."""

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection, Message

from stalk.celery.heartbeat import HeartbeatFiles

__all__ = ["Consumer"]

log = get_logger(__name__)


class Consumer(CeleryConsumer):
    """The consumer that `worker_consumer` names."""

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect, and touch the heartbeat file with every attempt and every second of waiting.

        So an outage of the broker does not restart the worker.
        """
        files = HeartbeatFiles(self.app.conf.stalk_run_dir)
        ensure: Callable[..., Connection] = conn.ensure_connection

        def beating(errback: Any, max_retries: Any, callback: Callable[[], object]) -> Connection:
            def beat() -> None:
                files.beat()
                callback()

            return ensure(errback, max_retries, callback=beat)

        conn.ensure_connection = beating  # type: ignore[method-assign, assignment]
        return super().ensure_connected(conn)

    def on_ready(self) -> None:
        """Say that tasks are consumed; Celery calls this after every connect, when the broker has agreed to deliver."""
        super().on_ready()
        HeartbeatFiles(self.app.conf.stalk_run_dir).ready.touch()

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Give a message that cannot be read to the dead-letter queue; Celery would acknowledge, and lose it."""
        log.critical("cannot read a message, it goes to the dead-letter queue: %r", exc)
        message.reject_log_error(log, self.connection_errors)  # type: ignore[attr-defined]
