"""What the result store says of dead tasks.

RabbitMQ moves a task without telling anybody: its result stays what it was when its last worker died, such as STARTED.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery import Celery, states
from celery.exceptions import TaskRevokedError
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from stalk.celery.keys import accepted_key, replayed_key, revoked_key, running_key
from stalk.celery.state import COMMAND_SECONDS
from stalk.dead_letters.letter import DeadLetter

__all__ = ["Known", "States"]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one dead task."""

    state: str
    """PENDING where nothing is stored."""
    revoked: bool
    """Somebody has revoked it: it would not run."""
    worker: str | None
    """The worker that runs it, or has died with it within the last `stalk.celery.running.LEASE_SECONDS`."""
    replayed: str | None
    """When this very letter was put back before, if it was: it may have a copy in the task queue."""

    @property
    def ended(self) -> bool:
        """Tell whether the state can still change."""
        return self.state in states.READY_STATES


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

    def known(self, letter: DeadLetter) -> Known:
        """Return what is known of a letter's task; of a message that is no task, nothing is."""
        if letter.id is None:
            return Known(states.PENDING, revoked=False, worker=None, replayed=None)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.get(self._backend.get_key_for_task(letter.id))
        pipeline.exists(revoked_key(letter.id))
        pipeline.get(running_key(letter.id))
        pipeline.get(replayed_key(letter.id, letter.death))
        result, revoked, worker, replayed = pipeline.execute()
        return Known(
            self._backend.decode_result(result)["status"] if result else states.PENDING,
            bool(revoked),
            worker.decode() if worker else None,
            replayed.decode() if replayed else None,
        )

    def claim(self, letter: DeadLetter, again: bool) -> bool:
        """Note that a letter is put back now; return False when that was noted before, and not `again`.

        It stays noted, as long as a result is kept: an acknowledgement has no answer, so that it has reached RabbitMQ
        is never known, and a letter that is still there next time must be left.
        """
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        key = replayed_key(letter.id or "", letter.death)
        return bool(self._client.set(key, now, ex=self._backend.expires, nx=not again))

    def unclaim(self, letter: DeadLetter) -> None:
        """Note that a letter was not put back after all."""
        self._client.delete(replayed_key(letter.id or "", letter.death))

    def wait_again(self, task_id: str) -> None:
        """Say that the task waits, and that its id is known, for as long as a result is kept."""
        self._store(task_id, None, states.PENDING, accepted_key(task_id))

    def dropped(self, task_id: str, revoke: bool) -> None:
        """Say that the task will not run, to whoever waits for it.

        Args:
            task_id: of one that has not ended.
            revoke: keep a copy of it, which may be in the task queue, from running.
        """
        reason = self._backend.prepare_exception(TaskRevokedError("dropped from the dead-letter queue"))
        self._store(task_id, reason, states.REVOKED, *([revoked_key(task_id)] if revoke else []))

    def _store(self, task_id: str, result: Any, state: str, *keys: str) -> None:
        meta = self._backend._get_result_meta(result=result, state=state, traceback=None, request=None)
        payload = self._backend.encode({**meta, "task_id": task_id})
        key = self._backend.get_key_for_task(task_id)
        pipeline = self._client.pipeline(transaction=True)
        for each in keys:
            pipeline.set(each, "1", ex=self._backend.expires)
        pipeline.set(key, payload, ex=self._backend.expires)
        pipeline.publish(key, payload)
        pipeline.execute()
