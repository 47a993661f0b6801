"""How a message is given back whose task has not begun."""

from typing import Any

import amqp
import pytest
from amqp import spec
from kombu.transport.pyamqp import Connection, Message

from stalk.celery.give_back import give_back

TAG = 7


class Frames(Connection):
    """A connection of py-amqp that is open, and keeps what it would write."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[Any, ...]] = []
        self._frame_writer = lambda *frame: self.sent.append(frame)

    def message(self) -> tuple[Message, Any]:
        channel = self.Channel(self, 1)
        delivered = amqp.Message("a task")
        delivered.delivery_info = {"delivery_tag": TAG}
        return channel.message_to_python(delivered), channel


def test_it_is_not_acknowledged_and_requeued_alone() -> None:
    connection = Frames()
    message, _ = connection.message()
    give_back(message, connection.connection_errors)
    [(kind, channel, method, arguments, _)] = connection.sent
    assert (kind, channel, method) == (1, 1, spec.Basic.Nack)
    # Delivery tag; then, bit by bit from the lowest: multiple, requeue.
    assert arguments == TAG.to_bytes(8, "big") + bytes([0b10])
    assert message.acknowledged


def test_over_a_lost_connection_there_is_nothing_to_do(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    connection = Frames()
    message, channel = connection.message()
    channel.collect()
    give_back(message, connection.connection_errors)
    assert connection.sent == []
    assert "by itself" in caplog.text
