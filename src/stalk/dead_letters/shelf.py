"""One dead-letter queue on the broker: taking messages from it, and settling each or giving it back."""

import time
from collections import deque
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import Any

from amqp import Message
from amqp.exceptions import AccessRefused, MessageNacked, NotFound, PreconditionFailed
from kombu import Connection

from stalk.celery.queues import EXCHANGE, dead_letter_queue, dead_letter_queue_name
from stalk.dead_letters.letter import clean_headers

__all__ = ["NotPublished", "Shelf", "count", "task_queue_name"]

SECONDS = 30
"""How long the broker may take to confirm a message, or to deliver one."""
BATCH = 200


class NotPublished(Exception):
    """The broker did not take a message; the text says why."""


def task_queue_name(name: str) -> str:
    """Return the task queue's name, from that or from its dead-letter queue's."""
    return name.removesuffix(dead_letter_queue_name(""))


def count(connection: Connection, queue: str) -> int | None:
    """Return how many dead letters of a task queue are there, or None if it has no dead-letter queue."""
    with _channel(connection) as channel:
        try:
            return int(channel.queue_declare(dead_letter_queue_name(queue), passive=True).message_count)
        except NotFound:
            return None


class Shelf:
    """The dead letters of one task queue, on one channel.

    What was taken and not settled when the channel closes, RabbitMQ gives back, in the order it had; so a crash at any
    point loses nothing.
    """

    def __init__(self, channel: Any, queue: str) -> None:
        self._channel = channel
        self._returned = False
        self._consumer: str | None = None
        self.queue = queue
        self.name = dead_letter_queue_name(queue)
        channel.auto_decode = False  # the body is put back byte by byte
        channel.events["basic_return"].add(self._note_return)

    @classmethod
    @contextmanager
    def open(cls, connection: Connection, queue: str) -> Iterator["Shelf"]:
        """Give the dead letters of `queue` on a channel of their own; its end gives back what was not settled."""
        with _channel(connection) as channel:
            shelf = cls(channel, queue)
            try:
                yield shelf
            finally:
                shelf._cancel()

    @staticmethod
    def counts_looks(connection: Connection, queue: str) -> bool:
        """Tell whether RabbitMQ drops a message of this dead-letter queue that is looked at too often.

        It does where an older Stalk, or somebody else, has declared it. A user who may not declare cannot find out.
        """
        declared = dead_letter_queue(queue)
        with _channel(connection) as channel:
            try:
                channel.queue_declare(
                    declared.name, durable=True, auto_delete=False, arguments=declared.queue_arguments
                )
            except PreconditionFailed:
                return True
            except AccessRefused:
                return False
        return False

    def take(self, most: int) -> Iterator[Message]:
        """Yield at most so many messages, oldest first; each stays in the queue until it is settled."""
        arrived: deque[Message] = deque()
        while most > 0:
            # Consumed, for basic.get takes a round trip each; by a new consumer for each batch, for one whose batch is
            # not settled gets no more. So no more than two batches are ever in memory.
            left = min(most, BATCH)
            self._channel.basic_qos(0, left, False)
            self._consumer = self._channel.basic_consume(self.name, callback=arrived.append)
            # Each that is settled makes room for another, which comes to this consumer and to no later one.
            while most > 0 and (left > 0 or arrived):
                if not arrived and not self._arrives(arrived):
                    return
                yield arrived.popleft()
                left, most = left - 1, most - 1
            self._cancel()

    def _cancel(self) -> None:
        """Take no more. A channel that closes under a consumer complains of what still arrives."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None and _is_open(self._channel):
            self._channel.basic_cancel(consumer)

    def _arrives(self, arrived: Sized) -> bool:
        """Wait for a message; tell whether there is one, or none is left because somebody else has taken it.

        Raises:
            TimeoutError: there is one, and the broker does not deliver it.
        """
        deadline = time.monotonic() + SECONDS
        while not arrived:
            try:
                self._channel.connection.drain_events(timeout=1)
            except TimeoutError:
                if not self._channel.queue_declare(self.name, passive=True).message_count and not arrived:
                    return False
                if time.monotonic() > deadline:
                    raise
        return True

    def put_back(self, message: Message) -> None:
        """Publish a message to its task queue as it was, without its history, and take it off when that is confirmed.

        Raises:
            NotPublished: the broker did not take it; it is still a dead letter.
        """
        properties = dict(message.properties)
        if properties.get("application_headers"):
            properties["application_headers"] = clean_headers(properties["application_headers"])
        self._returned = False
        try:
            self._channel.basic_publish_confirm(
                Message(message.body, **properties),
                exchange=EXCHANGE.name,
                routing_key=self.queue,
                mandatory=True,  # a confirm alone also comes for a message that no queue took
                confirm_timeout=SECONDS,
            )
        except MessageNacked:
            raise NotPublished(f"queue {self.queue!r} refuses messages: it is full or has no quorum") from None
        except NotFound:
            raise NotPublished(f"there is no exchange {EXCHANGE.name!r}; run: {self._declare()}") from None
        if self._returned:
            raise NotPublished(f"queue {self.queue!r} does not take it; run: {self._declare()}")
        self.drop(message)

    def drop(self, message: Message) -> None:
        """Take a message off for good."""
        self._channel.basic_ack(message.delivery_tag)

    def _declare(self) -> str:
        return f"stalk topology --queue {self.queue}"

    def _note_return(self, *_: object) -> None:
        self._returned = True


@contextmanager
def _channel(connection: Connection) -> Iterator[Any]:
    channel: Any = connection.connection.channel()
    try:
        yield channel
    finally:
        if _is_open(channel):
            channel.close()


def _is_open(channel: Any) -> bool:
    return bool(channel.is_open and channel.connection is not None and channel.connection.connected)
