"""Declaring what a Celery app needs in RabbitMQ before any worker exists.

KEDA asks for a queue's length while workers are at zero, and a countdown is published to exchanges that Celery itself
lets only a worker declare: without them the scaler fails and the delayed task is lost.
"""

import re
import time
from collections.abc import Iterable

from amqp.exceptions import AccessRefused, PreconditionFailed
from celery import Celery
from kombu import Connection, Queue
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from stalk.celery.queues import dead_letter_queue

__all__ = ["TopologyError", "declare", "declare_when_up"]

_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<arg>[^']+)' for (?P<kind>\w+) '(?P<name>[^']+)' in vhost '(?P<vhost>[^']+)': "
    r"received (?P<wanted>.+?) but current is (?P<found>.+)"
)


class TopologyError(Exception):
    """RabbitMQ refuses a declaration; the text says which, why, and what to do."""


def declare(connection: Connection, queues: Iterable[Queue]) -> None:
    """Declare task queues, their dead-letter queues and the delayed-delivery topology. Doing it again changes nothing.

    Args:
        connection: an open connection; every declaration uses channels of its own.
        queues: task queues as `stalk.celery.queues.task_queue` makes them.

    Raises:
        TopologyError: something exists with other arguments, or the user may not declare it.
    """
    try:
        declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
        for queue in queues:
            with connection.channel() as channel:
                dead_letter_queue(queue.name).bind(channel).declare()
                queue.bind(channel).declare()
            bind_queue_to_native_delayed_delivery_exchange(connection, queue)
    except PreconditionFailed as error:
        raise TopologyError(_difference(str(error.reply_text))) from error
    except AccessRefused as error:
        raise TopologyError(f"the broker's user may not declare: {error.reply_text}") from error


def declare_when_up(app: Celery, queues: Iterable[Queue], timeout: float) -> None:
    """Wait for the broker, at most `timeout` seconds, then declare.

    Raises:
        TopologyError: as `declare`, or the broker did not answer in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            with app.connection_for_write(connect_timeout=5) as connection:
                connection.connect()
                return declare(connection, queues)
        except app.connection_for_write().connection_errors as error:
            if time.monotonic() >= deadline:
                raise TopologyError(f"no broker after {timeout:g} s: {error}") from error
            time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))


def _difference(reply: str) -> str:
    found = _INEQUIVALENT.search(reply)
    if found is None:
        return f"RabbitMQ refuses a declaration: {reply}"
    return (
        f"{found['kind']} {found['name']!r} in vhost {found['vhost']!r} exists with another {found['arg']}: "
        f"it has {found['found']}, Stalk wants {found['wanted']}. "
        "Use another queue name, or drain this one, delete it and run `stalk topology` again."
    )
