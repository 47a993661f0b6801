"""What is known of a task, and the way to ask Redis for it within a time limit."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from celery import states
from redis.exceptions import RedisError

__all__ = ["COMMAND_SECONDS", "GivenBack", "ResultsUnavailable", "TaskState", "guarded"]

COMMAND_SECONDS = 2.0
"""How long Redis may take to accept a connection, or to answer."""

T = TypeVar("T")


class ResultsUnavailable(Exception):
    """Redis cannot be reached, or did not answer in time."""


class GivenBack(Exception):
    """What is stored, in state RETRY, for a task that a worker gave back to its queue when it was told to stop."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """How far a task is."""

    id: str
    status: str
    """A state of Celery, or one that the task has set itself."""
    result: Any = None
    """What the task returned, when the status is SUCCESS."""
    error: str | None = None
    """What the task raised, when the status is FAILURE, RETRY or REVOKED."""
    meta: Any = None
    """What the task said with a state of its own, such as PROGRESS."""

    @property
    def ended(self) -> bool:
        """Tell whether the state can still change."""
        return self.status in states.READY_STATES


async def guarded(command: Awaitable[T]) -> T:
    """Run a command of redis-py with one time limit over all its tries.

    Raises:
        ResultsUnavailable: it failed, or took too long.
    """
    try:
        async with asyncio.timeout(2 * COMMAND_SECONDS):
            return await command
    except (RedisError, OSError, TimeoutError) as error:
        raise ResultsUnavailable(str(error) or "Redis did not answer in time") from error
