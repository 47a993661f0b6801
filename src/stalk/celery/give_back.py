"""Giving a message back whose task has not begun, so that it does not count as a failure."""

from typing import Any

from amqp import spec
from celery.utils.log import get_logger
from kombu import Message

__all__ = ["give_back"]

log = get_logger(__name__)


def give_back(message: Message, errors: tuple[type[BaseException], ...]) -> None:
    """Return a message to its queue with `basic.nack`; py-amqp and kombu only know `basic.reject`.

    Since RabbitMQ 4.3 a reject counts towards the delivery limit of a quorum queue and a nack does not; before, both
    count: https://www.rabbitmq.com/docs/4.3/nack. A task that has begun is still rejected: it may be the reason.

    Args:
        message: not acknowledged yet.
        errors: what may be raised when the connection is lost: the broker has the message then.
    """
    channel: Any = message.channel
    try:
        # Delivery tag, multiple, requeue.
        channel.send_method(spec.Basic.Nack, "Lbb", (message.delivery_tag, False, True))
        message._state = "REQUEUED"  # type: ignore[attr-defined]
    except errors as error:
        log.info("The broker takes %s back by itself: %r", message.delivery_tag, error)
