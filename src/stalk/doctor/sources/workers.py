"""What workers say of themselves, over remote control and events, as Flower asks them."""

import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery
from celery.events import EventReceiver
from kombu.exceptions import OperationalError

from stalk.doctor.facts import WorkerFacts
from stalk.doctor.gather import start
from stalk.doctor.sources.network import CONNECT_SECONDS

__all__ = ["NotAsked", "ask_workers"]

REPLY_SECONDS = 2.0
HEARTBEAT_SECONDS = 6.0
"""Three of Celery's intervals between two heartbeat events."""

COMMANDS: dict[str, dict[str, Any]] = {
    "active_queues": {},
    "registered": {},
    "conf": {"with_defaults": True},
    "stats": {},
    "active": {},
    "reserved": {},
    "scheduled": {},
}


class NotAsked(Exception):
    """Workers cannot be asked by this user; the text says why."""


def ask_workers(app: Celery, consumers: int) -> WorkerFacts:
    """Ask all workers of the app's virtual host everything at once, and listen for their heartbeats.

    Args:
        app: a Celery app that can log in to the broker.
        consumers: how many consumers its queues have; with none nobody is waited for longer than for an answer.

    Raises:
        NotAsked: they cannot be asked, which says nothing of them.
    """
    # Control messages go as the app writes its tasks, and a worker that cannot read those would seem to be gone.
    control: Any = app.control
    mailbox = control.mailbox
    mailbox.serializer, mailbox.accept = "json", [*app.conf.accept_content, "json"]
    answers: dict[str, dict[str, Any]] = {command: {} for command in COMMANDS}
    listener = _Heartbeats(app)
    listener.start()
    asked = [start(_ask, app, command, arguments, answers[command]) for command, arguments in COMMANDS.items()]
    for one in asked:
        try:
            one.result(time.monotonic() + REPLY_SECONDS + CONNECT_SECONDS)
        except Exception as error:  # whatever kombu and its decoders raise
            raise NotAsked(_text(error)) from error
    alive = sorted({name for each in answers.values() for name in each})
    heartbeats = listener.wait_for(alive, max(consumers, len(alive)))
    mute = sorted(set(alive) - (heartbeats or set(alive)))
    if mute:  # one that has ended meanwhile is no worker that hides
        still: dict[str, Any] = {}
        with suppress(OSError, AMQPError, OperationalError):
            _ask(app, "ping", {}, still)
        for name in set(mute) - set(still):
            alive.remove(name)
            for each in answers.values():
                each.pop(name, None)
    return WorkerFacts(
        alive=alive,
        queues=answers["active_queues"],
        registered=answers["registered"],
        conf=answers["conf"],
        stats=answers["stats"],
        active=answers["active"],
        reserved=answers["reserved"],
        scheduled=answers["scheduled"],
        heartbeats=heartbeats,
        deaf=listener.why,
        now=time.time(),
    )


def _ask(app: Celery, command: str, arguments: dict[str, Any], into: dict[str, Any]) -> None:
    with app.connection_for_write(connect_timeout=CONNECT_SECONDS) as connection:
        replies = app.control.broadcast(
            command, arguments=arguments, reply=True, timeout=REPLY_SECONDS, connection=connection
        )
    for reply in replies or ():
        into.update({name: answer for name, answer in reply.items() if not _is_error(answer)})


def _is_error(answer: Any) -> bool:
    return isinstance(answer, dict) and set(answer) == {"error"}


def _text(error: Exception) -> str:
    return str(getattr(error, "reply_text", "")) or str(error) or type(error).__name__


class _Heartbeats(threading.Thread):
    """Notes who sends heartbeat events."""

    def __init__(self, app: Celery) -> None:
        super().__init__(name="stalk-doctor-events", daemon=True)
        self._app = app
        self._seen: set[str] = set()
        self._changed = threading.Condition()
        self._listens_since: float | None = None
        self._failed = False
        self.why = "no answer in time"
        """Why nobody could listen, where that is so."""

    def run(self) -> None:
        """Listen for as long as the process lasts."""
        try:
            with self._app.connection_for_read(connect_timeout=CONNECT_SECONDS) as connection:
                # No wake-up: a worker that is asked sends one, whether it does by itself or not.
                receiver: Any = EventReceiver(connection, {"worker-heartbeat": self._heard}, app=self._app)
                with receiver.consumer_context(wakeup=False) as (drained, _, _):
                    with self._changed:
                        self._listens_since = time.monotonic()
                        self._changed.notify_all()
                    while True:
                        try:
                            drained.drain_events(timeout=1)
                        except socket.timeout:  # noqa: UP041 (as kombu documents it)
                            continue
        except Exception as error:
            with self._changed:
                self._failed = True
                self.why = _text(error)
                self._changed.notify_all()

    def _heard(self, event: dict[str, Any]) -> None:
        with self._changed:
            self._seen.add(str(event.get("hostname", "")))
            self._changed.notify_all()

    def wait_for(self, names: Iterable[str], number: int) -> frozenset[str] | None:
        """Return who was heard: when all are, or at the end of patience."""
        wanted = set(names)

        def done() -> bool:
            return self._failed or (wanted <= self._seen and len(self._seen) >= number)

        with self._changed:
            self._changed.wait_for(lambda: self._failed or self._listens_since is not None, CONNECT_SECONDS)
            if self._listens_since is not None:
                left = self._listens_since + HEARTBEAT_SECONDS - time.monotonic()
                self._changed.wait_for(done, max(0.0, left))
            return None if self._failed or self._listens_since is None else frozenset(self._seen)
