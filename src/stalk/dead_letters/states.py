"""What the result store says of dead tasks.

RabbitMQ moves a task without telling anybody: its result stays what it was when its last worker died, such as STARTED.
"""

from collections.abc import Iterable
from typing import Any

from celery import Celery, states
from celery.exceptions import TaskRevokedError
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from stalk.celery.keys import accepted_key, revoked_key
from stalk.celery.state import COMMAND_SECONDS

__all__ = ["States"]


class States:
    """The result store of one Celery app, asked once and within a time limit; Celery's own client waits for ever.

    Args:
        app: an app that `stalk.celery.configure` has set up.

    Every method raises `redis.exceptions.RedisError` when Redis does not answer.
    """

    def __init__(self, app: Celery) -> None:
        self._backend: Any = app.backend
        self._client: Redis = Redis.from_url(
            app.conf.result_backend,
            socket_connect_timeout=COMMAND_SECONDS,
            socket_timeout=COMMAND_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def of(self, ids: Iterable[str]) -> dict[str, str]:
        """Return each task's state; PENDING where nothing is stored."""
        wanted = list(ids)
        if not wanted:
            return {}
        found: Any = self._client.mget([self._backend.get_key_for_task(each) for each in wanted])
        return {
            task_id: self._backend.decode_result(payload)["status"] if payload else states.PENDING
            for task_id, payload in zip(wanted, found, strict=True)
        }

    def revoked(self, task_id: str) -> bool:
        """Tell whether somebody has revoked the task: it would not run."""
        return bool(self._client.exists(revoked_key(task_id)))

    def wait_again(self, task_id: str) -> None:
        """Say that the task waits, and that its id is known, for as long as a result is kept."""
        self._store(task_id, None, states.PENDING, known=True)

    def dropped(self, task_id: str) -> None:
        """Say that the task will not run, to whoever waits for it; one that has ended keeps its result."""
        if self.of([task_id])[task_id] not in states.READY_STATES:
            reason = TaskRevokedError("dropped from the dead-letter queue")
            self._store(task_id, self._backend.prepare_exception(reason), states.REVOKED)

    def _store(self, task_id: str, result: Any, state: str, known: bool = False) -> None:
        meta = self._backend._get_result_meta(result=result, state=state, traceback=None, request=None)
        payload = self._backend.encode({**meta, "task_id": task_id})
        key = self._backend.get_key_for_task(task_id)
        pipeline = self._client.pipeline(transaction=True)
        if known:
            pipeline.set(accepted_key(task_id), "1", ex=self._backend.expires)
        pipeline.set(key, payload, ex=self._backend.expires)
        pipeline.publish(key, payload)
        pipeline.execute()
