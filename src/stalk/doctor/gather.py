"""Asking all sources at once, none of which may take the whole time."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Late", "Running", "start"]

T = TypeVar("T")


class Late(Exception):
    """A source did not answer in time."""


class Running(Generic[T]):
    """A source that is being asked, in a thread that the end of the process does not wait for."""

    def __init__(self, what: Callable[[], T]) -> None:
        self._answer: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        self._what = what
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._answer.put((self._what(), None))
        except BaseException as error:  # told to the one who waits
            self._answer.put((None, error))

    def result(self, deadline: float) -> T:
        """Wait for the answer.

        Args:
            deadline: as `time.monotonic()`.

        Raises:
            Late: there is none in time.
            BaseException: what the source raised.
        """
        try:
            answer, error = self._answer.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            raise Late("no answer in time") from None
        self._answer.put((answer, error))  # for who asks again
        if error is not None:
            raise error
        return answer  # type: ignore[return-value]


def start(what: Callable[..., T], *arguments: Any) -> Running[T]:
    """Ask a source in the background."""
    return Running(lambda: what(*arguments))
