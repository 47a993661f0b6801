"""Celery's set-up of delayed delivery, for a worker whose broker user may not declare it."""

from typing import Any

from amqp.exceptions import NotFound
from celery.worker.consumer.delayed_delivery import DelayedDelivery as CeleryDelayedDelivery
from kombu import Connection
from kombu.transport.native_delayed_delivery import CELERY_DELAYED_DELIVERY_EXCHANGE

__all__ = ["DelayedDelivery"]


class DelayedDelivery(CeleryDelayedDelivery):
    """The step of a worker's start: Celery's own where delayed delivery is missing, else nothing.

    What `stalk topology` or a missing `stalk.celery.queues.TaskQueue` has declared is whole. To declare its 28 queues
    again would take the right to delete them, and with them everybody's countdowns.
    """

    def _setup_delayed_delivery(self, c: Any, broker_url: str) -> None:
        with c.app.connection_for_write(url=broker_url) as connection:
            if _is_declared(connection):
                return
        super()._setup_delayed_delivery(c, broker_url)  # type: ignore[misc]


def _is_declared(connection: Connection) -> bool:
    """Ask for what is declared last; that takes no right."""
    try:
        channel: Any
        with connection.channel() as channel:
            channel.exchange_declare(CELERY_DELAYED_DELIVERY_EXCHANGE, "topic", passive=True)
    except NotFound:
        return False
    return True
