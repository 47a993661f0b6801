"""The base of every task: one that was revoked while no worker was alive does not run."""

from typing import Any

from celery import Task as CeleryTask
from celery.backends.base import BaseKeyValueStoreBackend
from celery.exceptions import Ignore
from celery.utils.log import get_task_logger

from stalk.celery.keys import revoked_key

__all__ = ["Task"]

log = get_task_logger(__name__)


class Task(CeleryTask):  # type: ignore[type-arg]
    """Celery's task, which asks the result store before it starts whether it was revoked.

    Celery's own revoke is a broadcast to the workers of that moment: with workers at zero nobody hears it.
    """

    Request = "stalk.celery.request:Request"

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Stop a revoked task before its body runs.

        Raises:
            Ignore: the task was revoked; Celery acknowledges the message and stores nothing.
        """
        if not isinstance(self.backend, BaseKeyValueStoreBackend):
            return
        try:
            revoked = self.backend.get(revoked_key(task_id))
        except Exception:  # a result store that is away must not fail the task
            log.warning("cannot ask whether %s was revoked; it runs", task_id, exc_info=True)
            return
        if revoked:
            # Celery has just stored STARTED over the state that the revoke had set.
            self.backend.mark_as_revoked(task_id, reason="revoked", request=self.request)
            raise Ignore("revoked")
