"""What the service does: accept, tell, follow and revoke tasks."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import anyio
from celery import Celery, states

from app import ledger
from app.metrics import Metrics
from app.settings import Settings
from app.worker.celery_app import TASK_NAME
from stalk.celery.publisher import BrokerUnavailable, Publisher, TaskMessage
from stalk.celery.results import Results, ResultsUnavailable, TaskState

__all__ = ["AlreadyEnded", "AlreadyRunning", "LedgerOff", "Tasks", "UnknownTask"]


SUBMIT_SECONDS = 4.7
"""Both dependencies together: a client is answered within 5 s."""


class UnknownTask(Exception):
    """The id was never accepted, or is no longer remembered."""


class AlreadyEnded(Exception):
    """The task has ended, so it cannot be revoked."""


class AlreadyRunning(Exception):
    """The task runs, and stopping it was not asked for."""


class LedgerOff(Exception):
    """A task of the chaos suite was asked for, and the settings do not allow it."""


class Tasks:
    """The demo task's queue and results, for one event loop."""

    def __init__(self, app: Celery, settings: Settings, metrics: Metrics) -> None:
        self._queue = settings.task_queue
        self._ledger = settings.ledger
        self._metrics = metrics
        self._accepted = metrics.accepted.labels(settings.task_queue)
        self.publisher = Publisher(app)
        self.results = Results(app, settings.accepted_expires_seconds)

    def start(self) -> None:
        """Begin; broker and Redis need not be up."""
        self.publisher.start()
        self.results.start()

    async def stop(self) -> None:
        """Close all connections."""
        await self.publisher.stop()
        await self.results.stop()

    async def submit(self, word: str, countdown: int = 0, order: ledger.Order | None = None) -> str:
        """Queue a task and return its id once the broker has confirmed it; an order makes it the chaos suite's task.

        Raises:
            BrokerUnavailable, ResultsUnavailable: it is not accepted.
            LedgerOff: orders are not taken.
        """
        if order is not None and not self._ledger:
            raise LedgerOff
        name, args = (TASK_NAME, (word,)) if order is None else (ledger.TASK_NAME, (order.model_dump(),))
        task_id = str(uuid.uuid4())
        try:
            # First the note, then the task: a task that runs is always one that can be asked for.
            async with asyncio.timeout(SUBMIT_SECONDS):
                await self.results.remember(task_id, countdown)
                with self._metrics.confirm_seconds.time():
                    await self.publisher.publish(TaskMessage(name, args, task_id, self._queue, countdown))
        except TimeoutError:
            self._metrics.refused.labels("broker").inc()
            raise BrokerUnavailable("Redis was slow, and the broker did not answer in the time left") from None
        except BrokerUnavailable:
            self._metrics.refused.labels("broker").inc()
            await self.results.forget(task_id)
            raise
        except ResultsUnavailable:
            self._metrics.refused.labels("results").inc()
            raise
        self._accepted.inc()
        return task_id

    async def state(self, task_id: str) -> TaskState:
        """Return a task's state.

        Raises:
            UnknownTask, ResultsUnavailable
        """
        state = await self.results.state(task_id)
        if state is None:
            raise UnknownTask(task_id)
        return state

    def watch(self, task_id: str) -> AbstractAsyncContextManager[AsyncIterator[TaskState] | None]:
        """Follow a task's states; see `Results.watch`."""
        return self.results.watch(task_id)

    async def revoke(self, task_id: str, terminate: bool) -> TaskState:
        """Keep a task from starting, or stop one that runs, where `terminate` says so.

        Raises:
            UnknownTask, AlreadyEnded, AlreadyRunning, BrokerUnavailable, ResultsUnavailable
        """
        state = await self.state(task_id)
        if state.ended:
            raise AlreadyEnded(state.status)
        running = state.status not in {states.PENDING, states.RETRY}
        if running and not terminate:
            raise AlreadyRunning(state.status)
        await self.results.revoke(task_id)
        if running:
            await self.publisher.terminate(task_id)
        return await self.state(task_id)

    async def backlog(self) -> dict[str, int]:
        """Return the ready messages of each queue.

        Raises:
            BrokerUnavailable
        """
        return await self.publisher.queue_lengths([self._queue])

    async def ready(self) -> dict[str, str]:
        """Return what is wrong with each dependency, an empty text for nothing, within their time limits."""
        found: dict[str, str] = {}

        async def check(name: str, dependency: Publisher | Results) -> None:
            try:
                await dependency.ping()
                found[name] = ""
            except (BrokerUnavailable, ResultsUnavailable) as error:
                found[name] = str(error)

        async with anyio.create_task_group() as group:
            group.start_soon(check, "broker", self.publisher)
            group.start_soon(check, "results", self.results)
        return found
