"""Celery's request: what a worker's main process knows of a task that it was given."""

from typing import Any

from celery.worker.request import Request as CeleryRequest

from stalk.celery.waits import queue_of, started

__all__ = ["Request"]


class Request(CeleryRequest):
    """The request that `stalk.celery.task` names: it counts how long its task has waited."""

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        """Take note that a process has begun with the task."""
        super().on_accepted(pid, time_accepted)
        info: Any = self.delivery_info
        app: Any = self.app
        began: Any = self.time_start
        queue = queue_of(info["routing_key"] or "", app.amqp.queues.consume_from)
        started(self.message.headers, queue, bool(info["redelivered"]), began)
