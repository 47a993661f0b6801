"""The queues of a Celery app that may scale to zero: quorum, dead-lettered, reachable by delayed delivery."""

from collections.abc import Iterable
from typing import Any

from amqp.exceptions import AccessRefused, NotFound
from celery.app.amqp import AMQP, Queues
from kombu import Connection, Exchange, Queue
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

__all__ = [
    "DEAD_LETTER_EXCHANGE",
    "EXCHANGE",
    "QueueMissing",
    "StalkAMQP",
    "TaskQueue",
    "check_names",
    "dead_letter_queue",
    "dead_letter_queue_name",
    "declare_whole",
    "task_queue",
]

# Topic, because Celery's native delayed delivery cannot reach a direct exchange: a countdown would then wait inside a
# worker, hold its slot and keep it from going to zero.
EXCHANGE = Exchange("stalk", type="topic")
DEAD_LETTER_EXCHANGE = Exchange("stalk.dead-letters", type="direct")


class QueueMissing(AccessRefused):
    """A task queue does not exist, and this process may not declare it; the text says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.args = (message,)  # what a result backend keeps of an exception, and makes it from again


class TaskQueue(Queue):
    """A task queue that is declared only where it does not exist yet, and then with all that belongs to it.

    Celery declares a queue each time that it consumes or publishes. RabbitMQ asks for the right `configure` even when
    nothing changes, and who may configure a queue may delete it. To ask whether it exists takes no right at all
    (https://www.rabbitmq.com/docs/access-control#authorisation), so a worker's user needs none.
    """

    def declare(self, nowait: bool = False, channel: Any = None) -> str:
        """Declare the queue if it is missing.

        Raises:
            QueueMissing: it is missing, and the user may not declare it.
        """
        bound: Any = channel or self.channel
        connection: Connection = bound.connection.client
        if connection.transport.driver_type != "amqp":  # an app's own tests, in memory
            return str(super().declare(nowait, channel))
        if not _exists(connection, self.name):
            try:
                declare_whole(connection, [self])
            except AccessRefused as error:
                raise QueueMissing(_missing(self.name, str(error.reply_text))) from error
        return self.name


def declare_whole(connection: Connection, queues: Iterable[Queue]) -> None:
    """Declare task queues, their dead-letter queues and delayed delivery, whether they exist or not.

    Args:
        connection: an open connection; every declaration uses channels of its own.
        queues: task queues as `task_queue` makes them.

    Raises:
        PreconditionFailed: something exists with other arguments.
        AccessRefused: the user may not declare it.
    """
    declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
    for queue in queues:
        with connection.channel() as channel:
            dead_letter_queue(queue.name).bind(channel).declare()
            Queue.declare(queue.bind(channel))
        bind_queue_to_native_delayed_delivery_exchange(connection, queue)


def _exists(connection: Connection, name: str) -> bool:
    try:
        channel: Any
        with connection.channel() as channel:  # of its own: RabbitMQ closes it when there is no such queue
            channel.queue_declare(name, passive=True)
    except NotFound:
        return False
    return True


def _missing(name: str, reply: str) -> str:
    return (
        f"queue {name!r} does not exist, and this process's broker user may not declare it ({reply}). "
        f"Run `stalk topology --queue {name}` as a user who may; in the Helm chart's values: "
        f"topology: {{extraQueues: [{name}]}}"
    )


def task_queue(name: str, delivery_limit: int) -> TaskQueue:
    """Return the declaration of a task queue.

    Args:
        name: queue name, also its routing key on the exchange `stalk`.
        delivery_limit: deliveries after which RabbitMQ moves a task to the dead-letter queue.

    The dead-letter strategy is at-least-once, so a task is never between two queues; RabbitMQ asks for
    `x-overflow: reject-publish` with it (https://www.rabbitmq.com/docs/quorum-queues#activating-at-least-once).
    """
    return TaskQueue(
        name,
        EXCHANGE,
        routing_key=name,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": delivery_limit,
            "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE.name,
            "x-dead-letter-routing-key": name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def dead_letter_queue_name(name: str) -> str:
    """Return the name of the queue that holds what the task queue `name` gave up on."""
    return f"{name}.dead-letters"


def dead_letter_queue(name: str) -> Queue:
    """Return the declaration of the dead-letter queue of the task queue `name`."""
    return Queue(
        dead_letter_queue_name(name),
        DEAD_LETTER_EXCHANGE,
        routing_key=name,
        queue_arguments={"x-queue-type": "quorum"},
    )


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the queue names as a tuple, or refuse them.

    Raises:
        ValueError: there is none, one stands twice, or one ends in another after a dot: delayed delivery binds
            `#.<queue>`, so a delayed task for `high.mail` would also reach a queue `mail`.
    """
    found = tuple(names)
    if not found:
        raise ValueError("a Celery app needs at least one queue")
    for name in found:
        if not name or len(name.encode()) > 200:
            raise ValueError(f"queue name {name!r} must have 1 to 200 bytes")
        if found.count(name) > 1:
            raise ValueError(f"queue {name!r} is named twice")
        for other in found:
            if name != other and name.endswith(f".{other}"):
                raise ValueError(
                    f"queue {name!r} ends in queue {other!r}: a delayed task for the first would reach both; "
                    "rename one of them"
                )
    return found


class _StalkQueues(Queues):
    """Makes a queue that only `-Q` or a route names the same way as the ones in the settings."""

    delivery_limit: int

    def new_missing(self, name: str) -> Queue:
        check_names((*self, name))
        return task_queue(name, self.delivery_limit)


class StalkAMQP(AMQP):
    """Celery's AMQP with queues that Stalk declares; `app.amqp_cls` names it."""

    queues_cls = _StalkQueues

    def Queues(self, queues: list[Queue] | dict[str, Queue], *args: Any, **kwargs: Any) -> Queues:  # noqa: N802
        """Return the queue table, which knows the app's delivery limit."""
        made = super().Queues(queues, *args, **kwargs)
        assert isinstance(made, _StalkQueues)  # noqa: S101 (queues_cls says so)
        made.delivery_limit = self.app.conf.stalk_delivery_limit
        return made
