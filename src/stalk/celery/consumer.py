"""Celery's consumer, kept from what would cost a task, a worker, or a second run of the same task."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from celery import signals
from celery.backends.redis import RedisBackend
from celery.exceptions import WorkerShutdown
from celery.utils.log import get_logger
from celery.utils.threads import bound_open_broker_sockets  # type: ignore[attr-defined]
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection, Message

from stalk.celery.give_back import give_back
from stalk.celery.heartbeat import HeartbeatFiles
from stalk.celery.redelivery import Redeliveries
from stalk.celery.running import RunningTasks
from stalk.celery.shutdown import BROKER_SECONDS, drain, leave_after
from stalk.celery.state import COMMAND_SECONDS
from stalk.celery.waits import Waits

__all__ = ["Consumer"]

log = get_logger(__name__)

UNCONFIRMED = {"confirm_publish": False}
"""The event loop sends events and answers of remote control: it must not stand still until RabbitMQ has taken them."""


class Consumer(CeleryConsumer):
    """The consumer that `worker_consumer` names."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc, valid-type]
        """Celery's steps, with delayed delivery declared only where it is missing."""

        default_steps: ClassVar = [
            "stalk.celery.delayed_delivery:DelayedDelivery" if step.endswith(":DelayedDelivery") else step
            for step in CeleryConsumer.Blueprint.default_steps
        ]

    consuming = False
    """The event loop turns with a connection that tasks are delivered on."""
    stopping = False
    """What is delivered now goes back."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.files = HeartbeatFiles(self.app.conf.stalk_run_dir)
        self._take: Callable[[Message], object] | None = None
        self._running: RunningTasks | None = None
        self._redeliveries: Redeliveries | None = None
        self._waits: Waits | None = None
        self._told: float | None = None
        self._goodbye: threading.Timer | None = None
        signals.worker_shutting_down.connect(self._on_told)
        if isinstance(self.app.backend, RedisBackend):
            self._running = RunningTasks(self.app.conf.result_backend, self.hostname)
            self._redeliveries = Redeliveries(self, self._running, self._begin)
            self._waits = Waits(self.app.conf.result_backend)

    def start(self) -> None:
        """Consume until the worker is told to stop, then finish in order.

        Raises:
            WorkerShutdown: nothing runs here any more.
        """
        if self._running is not None:
            self._running.start()
        if self._waits is not None:
            self._waits.start()
        try:
            super().start()
        except WorkerShutdown:
            self.stopping = True
            self.files.ready.unlink(missing_ok=True)
            if self.hub is not None:  # type: ignore[attr-defined]
                told = self._told or time.monotonic()  # nobody sends a signal who asks by remote control
                seconds = self.app.conf.stalk_shutdown_seconds
                self._goodbye = leave_after(told, seconds)
                drain(self, told, seconds)
                self._end_threads()
            raise

    def shutdown(self) -> None:
        """Close what is left."""
        super().shutdown()
        deadline = time.monotonic() + 2 * COMMAND_SECONDS
        for each in self._end_threads():
            each.join(max(0.0, deadline - time.monotonic()))
        if self._goodbye is not None:
            self._goodbye.cancel()

    def _end_threads(self) -> list[RunningTasks | Waits]:
        """Let the threads that talk to Redis end, all at once, and return them."""
        threads = [each for each in (self._running, self._waits) if each is not None]
        for each in threads:
            each.end()
        return threads

    def _on_told(self, **_: Any) -> None:
        """Note when the signal came: the event loop may hear of it a second later."""
        self._told = self._told or time.monotonic()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], object]:
        """Return what is done with each delivery."""
        take = self._take = super().create_task_handler(*args, **kwargs)
        redeliveries = self._redeliveries

        def on_task_received(message: Message) -> None:
            if self.stopping:
                give_back(message, self.connection_errors)  # type: ignore[attr-defined]
            elif redeliveries is None or not redeliveries.takes(message):
                take(message)

        return on_task_received

    def _begin(self, message: Message) -> None:
        """Do with a message that was held what is done with any other."""
        if self._take is not None:
            self._take(message)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Say what runs here before RabbitMQ's second deliveries reach anybody."""
        self.tell_running()
        super().on_connection_error_after_connected(exc)

    def on_close(self) -> None:
        """Forget deliveries of a connection that is gone."""
        self.consuming = False
        self.let_go_redelivered()
        if self.event_dispatcher is not None:  # type: ignore[attr-defined]
            # Celery closes that one next, and waits for the answer: one that has an alarm gives none.
            bound_open_broker_sockets(self.event_dispatcher.connection, BROKER_SECONDS)  # type: ignore[attr-defined]
        super().on_close()

    def tell_running(self) -> None:
        """Say at once which tasks run here."""
        if self._running is not None:
            self._running.tell()

    def send_heartbeats_once(self) -> None:
        """Let no heartbeat event wait for the broker: Celery tries for ever, and the event loop stands still."""
        heart: Any = self.heart  # type: ignore[attr-defined]
        if heart is not None and heart.tref is not None:
            self.timer.cancel(heart.tref)
            heart.tref = self.timer.call_repeatedly(heart.interval, heart._send, ("worker-heartbeat", False))

    def give_back_running(self, ids: Iterable[str]) -> None:
        """Say that these tasks run here no more."""
        if self._running is not None:
            self._running.given_back(ids)

    def let_go_redelivered(self) -> list[Message]:
        """Return the messages that are held because their tasks may run elsewhere."""
        return [] if self._redeliveries is None else self._redeliveries.let_go()

    def connection_for_read(self, heartbeat: float | None = None) -> Connection:
        """Connect to consume."""
        return self.ensure_connected(self.app.connection_for_read(heartbeat=heartbeat, transport_options=UNCONFIRMED))

    def connection_for_write(self, url: str | None = None, heartbeat: float | None = None) -> Connection:
        """Connect to send events.

        RabbitMQ reads nothing from a connection that publishes while it has an alarm: https://www.rabbitmq.com/docs/alarms
        """
        when = {"on_blocked": self._hush, "on_unblocked": self._speak}
        return self.ensure_connected(
            self.app.connection_for_write(url=url, heartbeat=heartbeat, transport_options=UNCONFIRMED | when)
        )

    def _hush(self, reason: str) -> None:
        """Send no events: nobody reads them, they would fill the socket, and then the event loop would stand still."""
        log.warning("RabbitMQ has an alarm (%s): no events are sent until it is over", reason)
        self.event_dispatcher.enabled = False  # type: ignore[attr-defined]

    def _speak(self) -> None:
        log.info("RabbitMQ's alarm is over: events are sent again")
        self.event_dispatcher.enabled = True  # type: ignore[attr-defined]

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect, and touch the heartbeat file with every attempt and every second of waiting.

        So an outage of the broker does not restart the worker.
        """
        ensure: Callable[..., Connection] = conn.ensure_connection

        def beating(errback: Any, max_retries: Any, callback: Callable[[], object]) -> Connection:
            def beat() -> None:
                self.files.beat()
                callback()

            return ensure(errback, max_retries, callback=beat)

        conn.ensure_connection = beating  # type: ignore[method-assign, assignment]
        return super().ensure_connected(conn)

    def on_ready(self) -> None:
        """Say that tasks are consumed; Celery calls this after every connect, when the broker has agreed to deliver."""
        super().on_ready()
        self.tell_running()
        self.send_heartbeats_once()
        self.consuming = True
        self.files.ready.touch()

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Give a message that cannot be read to the dead-letter queue; Celery would acknowledge, and lose it."""
        log.critical("cannot read a message, it goes to the dead-letter queue: %r", exc)
        message.reject_log_error(log, self.connection_errors)  # type: ignore[attr-defined]
