"""Results from asyncio: which ids were accepted, how far a task is, and being told when that changes.

Celery's `AsyncResult` blocks, and says PENDING both for a queued task and for an id that nobody ever handed out.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from celery import Celery, states
from celery.backends.redis import RedisBackend
from celery.exceptions import TaskRevokedError
from celery.utils.log import get_logger
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from stalk.celery.keys import accepted_key, revoked_key
from stalk.celery.listener import Listener
from stalk.celery.state import COMMAND_SECONDS, ResultsUnavailable, TaskState, guarded

__all__ = ["Results", "ResultsUnavailable", "TaskState"]

log = get_logger(__name__)


class Results:
    """The result store of one Celery app, for one event loop.

    Args:
        app: an app that `stalk.celery.configure` has set up, with results in Redis.
        accepted_seconds: how long an accepted id is remembered.
    """

    def __init__(self, app: Celery, accepted_seconds: int) -> None:
        if not isinstance(app.backend, RedisBackend):
            raise TypeError(f"results must be in Redis, not in {type(app.backend).__name__}")
        self._backend: Any = app.backend
        self._accepted_seconds = accepted_seconds
        self._client: Redis = Redis.from_url(
            app.conf.result_backend,
            socket_connect_timeout=COMMAND_SECONDS,
            socket_timeout=COMMAND_SECONDS,
            retry=Retry(NoBackoff(), 1),  # once: a connection that Redis closed while it restarted
            health_check_interval=15,
        )
        self._writes = _Batch(self._write_accepted)
        self._listener = Listener(app.conf.result_backend, self._read, self._decode)

    def start(self) -> None:
        """Begin to listen; Redis need not be up."""
        self._listener.start()

    async def stop(self) -> None:
        """Close all connections."""
        await self._listener.stop()
        await self._client.aclose()

    async def ping(self) -> None:
        """Return when Redis has answered.

        Raises:
            ResultsUnavailable: it has not.
        """
        await guarded(self._client.ping())

    async def remember(self, task_id: str, countdown: int = 0) -> None:
        """Note that this id is handed out, before it is.

        Args:
            task_id: the id.
            countdown: seconds until the task may start, which do not count against the time it is remembered.

        Raises:
            ResultsUnavailable: the note is not written.
        """
        await self._writes.add((accepted_key(task_id), self._accepted_seconds + countdown))

    async def forget(self, task_id: str) -> None:
        """Take the note back, because the broker did not take the task. Never raises: the note also expires."""
        try:
            await guarded(self._client.delete(accepted_key(task_id)))
        except ResultsUnavailable:
            log.warning("the id %s stays known until it expires, but was not accepted", task_id)

    async def state(self, task_id: str) -> TaskState | None:
        """Return a task's state, PENDING for one that waits, or None for an id that is not known.

        Raises:
            ResultsUnavailable: Redis cannot be asked.
        """
        return (await self._read([task_id]))[0]

    async def revoke(self, task_id: str) -> None:
        """Keep a task that has not started from ever starting, whether a worker is alive or not.

        Raises:
            ResultsUnavailable: the revocation is not written.
        """
        meta = self._backend._get_result_meta(  # the one place where Celery says what a stored result holds
            result=self._backend.prepare_exception(TaskRevokedError("revoked")),
            state=states.REVOKED,
            traceback=None,
            request=None,
        )
        payload = self._backend.encode({**meta, "task_id": task_id})
        key = self._key(task_id)
        pipeline = self._client.pipeline(transaction=True)
        pipeline.set(revoked_key(task_id), "1", ex=await self._revoked_seconds(task_id))
        pipeline.set(key, payload, ex=self._backend.expires)
        pipeline.publish(key, payload)
        await guarded(pipeline.execute())

    @asynccontextmanager
    async def watch(self, task_id: str) -> AsyncIterator[AsyncIterator[TaskState] | None]:
        """Yield an iterator over a task's states until it has ended, or None for an id that is not known.

        The first state is the one of now. A reader that is slow misses states in between, never the last.
        However many watch, Redis sees one connection and is asked once for each.

        Raises:
            ResultsUnavailable: Redis cannot be asked for the first state.
        """
        async with self._listener.watch(self._key(task_id), task_id) as watch:
            first = await self.state(task_id)
            if first is None:
                yield None
            else:
                watch.put(first)
                yield watch.states()

    async def _revoked_seconds(self, task_id: str) -> int:
        """Return how long a revocation must stand: as long as the id is known, which covers a countdown."""
        left: int = await guarded(self._client.ttl(accepted_key(task_id)))
        return max(left, self._accepted_seconds)

    async def _write_accepted(self, notes: list[tuple[str, int]]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, seconds in notes:
            pipeline.set(key, "1", ex=seconds)
        await guarded(pipeline.execute())

    async def _read(self, ids: list[str]) -> list[TaskState | None]:
        if not ids:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for task_id in ids:
            pipeline.get(self._key(task_id))
            pipeline.exists(accepted_key(task_id))
        answers: list[Any] = await guarded(pipeline.execute())
        pairs = zip(ids, answers[::2], answers[1::2], strict=True)
        return [self._decode(task_id, payload) if payload or known else None for task_id, payload, known in pairs]

    def _decode(self, task_id: str, payload: bytes | None) -> TaskState:
        """Return the state that Celery's stored result stands for; no result is PENDING."""
        if payload is None:
            return TaskState(task_id, states.PENDING)
        meta = self._backend.decode_result(payload)
        status, value = meta["status"], meta["result"]
        if status == states.SUCCESS:
            return TaskState(task_id, status, result=value)
        if status in states.EXCEPTION_STATES:
            return TaskState(task_id, status, error=_error_text(value))
        return TaskState(task_id, status, meta=value)

    def _key(self, task_id: str) -> str:
        key = self._backend.get_key_for_task(task_id)
        return key.decode() if isinstance(key, bytes) else str(key)


class _Batch:
    """Writes together what is asked for while the write before is under way: one round trip for all of them."""

    def __init__(self, write: Callable[[list[tuple[str, int]]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: list[tuple[tuple[str, int], asyncio.Future[None]]] = []
        self._flush: asyncio.Task[None] | None = None

    async def add(self, item: tuple[str, int]) -> None:
        """Return when the item is written.

        Raises:
            ResultsUnavailable: it is not, or nobody knows in time.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._write_all())
        try:
            # Over the batch before and its own: Redis may hang in both.
            async with asyncio.timeout(2 * COMMAND_SECONDS):
                await future
        except TimeoutError:
            raise ResultsUnavailable("Redis did not answer in time") from None

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            failure: ResultsUnavailable | None = None
            try:
                await self._write([item for item, _ in batch])
            except ResultsUnavailable as error:
                failure = error
            for _, future in batch:
                if not future.done():
                    future.set_result(None) if failure is None else future.set_exception(failure)


def _error_text(value: Any) -> str:
    """Return Celery's stored exception as `ValueError: text`, without importing the class that it names."""
    if not isinstance(value, dict) or "exc_type" not in value:
        return str(value)
    message = value.get("exc_message")
    text = ", ".join(str(part) for part in message) if isinstance(message, list | tuple) else str(message or "")
    return f"{value['exc_type']}: {text}" if text else str(value["exc_type"])
