"""Declaring what a Celery app needs in RabbitMQ before any worker exists.

KEDA asks for a queue's length while workers are at zero, and a countdown is published to exchanges that Celery itself
lets only a worker declare: without them the scaler fails and the delayed task is lost.
"""

import re
import shlex
import time
from collections.abc import Iterable

from amqp.exceptions import AccessRefused, PreconditionFailed
from celery import Celery
from kombu import Connection, Queue

from stalk.celery.queues import declare_whole

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
        declare_whole(connection, queues)
    except PreconditionFailed as error:
        raise TopologyError(_difference(str(error.reply_text))) from error
    except AccessRefused as error:
        raise TopologyError(_refused(connection, str(error.reply_text))) from error


def declare_when_up(app: Celery, queues: Iterable[Queue], timeout: float) -> None:
    """Wait for the broker, at most `timeout` seconds, then declare.

    Raises:
        TopologyError: as `declare`, or the broker did not answer in time.
    """
    deadline = time.monotonic() + timeout
    # A login may be refused because the broker is still to start with it, in an upgrade that changes logins.
    absent: tuple[type[BaseException], ...] = (*app.connection_for_write().connection_errors, AccessRefused)
    while True:
        try:
            with app.connection_for_write(connect_timeout=5) as connection:
                connection.connect()
                return declare(connection, queues)
        except absent as error:
            if time.monotonic() >= deadline:
                raise TopologyError(f"no broker after {timeout:g} s: {error}") from error
            time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))


def _refused(connection: Connection, reply: str) -> str:
    user, vhost = shlex.quote(str(connection.userid)), shlex.quote(str(connection.virtual_host))
    return (
        f"the broker's user may not declare: {reply}. Who declares needs all rights in the virtual host: "
        f"rabbitmqctl set_permissions --vhost {vhost} {user} '.*' '.*' '.*'"
    )


def _difference(reply: str) -> str:
    found = _INEQUIVALENT.search(reply)
    if found is None:
        return f"RabbitMQ refuses a declaration: {reply}"
    return (
        f"{found['kind']} {found['name']!r} in vhost {found['vhost']!r} exists with another {found['arg']}: "
        f"it has {found['found']}, Stalk wants {found['wanted']}. "
        "Use another queue name, or drain this one, delete it and run `stalk topology` again."
    )
