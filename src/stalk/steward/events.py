"""What workers say of themselves, from Celery's events; a broker that is away is waited for, for ever."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from celery import Celery
from celery.utils.log import get_logger
from kombu import Consumer, Message

__all__ = ["QUEUE_PREFIX", "Beat", "Deaf", "Event", "Left", "Listener"]

log = get_logger(__name__)

QUEUE_PREFIX = "celeryev.stalk-steward"
"""Of the exclusive queue's name, a random part follows; whoever may have Celery's event queues may have this one."""
ROUTING_KEY = "worker.#"
"""Events of workers alone; those of tasks would be many."""
HEARTBEAT = 30
"""Seconds; a connection that has died unseen is noticed after twice as long."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker lives, and runs so many tasks."""

    host: str
    """Its pod's name: what is behind the @ of its node name."""
    active: int
    every: float
    """Seconds until the next one."""
    at: float
    """When it came, by `time.monotonic`."""


@dataclass(frozen=True, slots=True)
class Left:
    """A worker says goodbye."""

    host: str


@dataclass(frozen=True, slots=True)
class Deaf:
    """The broker is away: what was heard before gets old."""


Event = Beat | Left | Deaf


class Listener:
    """Hears workers in a thread of its own.

    Args:
        app: any app with the broker's settings; it needs none of the workers' code.
    """

    def __init__(self, app: Celery) -> None:
        self.listening = False
        """Do events arrive?"""
        self._app = app
        self._events: SimpleQueue[Event] = SimpleQueue()

    def start(self) -> None:
        """Begin; the thread ends with the process."""
        threading.Thread(target=self._run, name="stalk-events", daemon=True).start()

    def events(self) -> Iterator[Event]:
        """Yield what has come since the last call."""
        while True:
            try:
                yield self._events.get_nowait()
            except Empty:
                return

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                self._listen()
            except Exception as error:  # of the network, of RabbitMQ, of a proxy between: the cure is the same
                pause = FIRST_PAUSE if self.listening else min(2 * pause, LONGEST_PAUSE)
                log.warning("no events from the broker, again in %g s: %r", pause, error)
            self.listening = False
            self._events.put(Deaf())
            time.sleep(pause)

    def _listen(self) -> None:
        with self._app.connection_for_read(heartbeat=HEARTBEAT) as connection:
            connection.connect()
            channel = connection.default_channel
            handlers = {
                "worker-online": self._heard,
                "worker-heartbeat": self._heard,
                "worker-offline": lambda event: self._events.put(Left(_host(event))),
            }
            receiver = self._app.events.Receiver(
                channel, handlers=handlers, routing_key=ROUTING_KEY, queue_prefix=QUEUE_PREFIX
            )
            consumer = partial(Consumer, channel, on_decode_error=_unreadable)
            with receiver.get_consumers(consumer, channel)[0]:
                self.listening = True
                log.info("listening to the workers' heartbeats as %s", receiver.queue.name)
                while True:
                    # Not the receiver's own loop: while events flow it sends no heartbeat, and RabbitMQ hangs up on it
                    # (https://github.com/mher/flower/issues/870).
                    connection.heartbeat_check()
                    self._drain(connection)

    def _drain(self, connection: Any) -> None:
        """Take what comes within a second."""
        end = time.monotonic() + 1
        while (left := end - time.monotonic()) > 0:
            try:
                connection.drain_events(timeout=left)
            except TimeoutError:
                return

    def _heard(self, event: dict[str, Any]) -> None:
        try:
            beat = Beat(_host(event), int(event["active"]), float(event["freq"]), time.monotonic())
        except (KeyError, TypeError, ValueError):
            log.debug("no heartbeat of a Celery worker: %r", event)
        else:
            self._events.put(beat)


def _host(event: dict[str, Any]) -> str:
    """Return the host of a node name, `<pool>@<host>`."""
    return str(event.get("hostname")).rpartition("@")[2]


def _unreadable(message: Message, error: Exception) -> None:
    log.debug("an event that cannot be read: %r", error)
