"""Messages that RabbitMQ delivers a second time: the task may still run, here or elsewhere, over a lost connection."""

from collections.abc import Callable
from functools import partial
from typing import Any

from celery.utils.log import get_logger
from celery.worker import state
from kombu import Message

from stalk.celery.running import Owner, RunningTasks

__all__ = ["Redeliveries"]

log = get_logger(__name__)

FIRST_LOOK_SECONDS = 0.5
"""Time for a worker that has just lost its connection to say what runs there."""
NEXT_LOOK_SECONDS = 2.0


class Redeliveries:
    """Keeps a message that came again while its task still runs, and takes it over when that is here.

    Args:
        consumer: the worker's consumer.
        running: tells of tasks that run elsewhere.
        start: what is done with a message whose task runs nowhere.
    """

    def __init__(self, consumer: Any, running: RunningTasks, start: Callable[[Message], object]) -> None:
        self._consumer = consumer
        self._running = running
        self._start = start
        self._held: dict[Message, Owner] = {}
        """Each message, with what was answered last."""

    def takes(self, message: Message) -> bool:
        """Tell whether the message came again and is dealt with here; otherwise it is like any other."""
        if not message.delivery_info.get("redelivered"):
            return False
        task_id = (message.headers or {}).get("id")
        if not task_id:
            return False
        request = state.requests.get(task_id)
        if request is not None and request in state.active_requests:
            self._adopt(request, message)
        else:
            self._held[message] = ""
            self._look_later(FIRST_LOOK_SECONDS, message, task_id)
        return True

    def let_go(self) -> list[Message]:
        """Return the messages that are held, and hold them no more."""
        held, self._held = list(self._held), {}
        return held

    def _adopt(self, request: Any, message: Message) -> None:
        """Let the task that runs here acknowledge this delivery: the one it began with cannot be any more."""
        log.info("Task %s[%s] still runs here: it keeps its message", request.name, request.id)
        call = self._consumer.call_soon_ack
        if request.acknowledged:
            call(message.ack_log_error, log, self._consumer.connection_errors)
            return
        request._message = message
        request._on_ack = partial(call, message.ack_log_error)
        request.on_reject = partial(call, message.reject_log_error)

    def _look_later(self, seconds: float, message: Message, task_id: str) -> None:
        self._consumer.timer.call_after(seconds, self._look, (message, task_id))

    def _look(self, message: Message, task_id: str) -> None:
        def answer(owner: Owner) -> None:
            # In the other's thread: what follows is for the main loop.
            self._consumer.call_soon(self._decide, message, task_id, owner)

        if message in self._held:
            self._running.ask(task_id, answer)

    def _decide(self, message: Message, task_id: str, owner: Owner) -> None:
        if message not in self._held:
            return
        said, self._held[message] = self._held[message], owner
        if owner is None:
            # Begun now, it would wait in its process all the same: Celery first asks Redis whether it has succeeded.
            if said is not None:
                log.info("Task %s may still run elsewhere, Redis cannot tell: its message waits here", task_id)
            self._look_later(NEXT_LOOK_SECONDS, message, task_id)
        # A name of our own is that of the process before this one in the same pod.
        elif owner and owner != self._consumer.hostname:
            if said != owner:
                log.info("Task %s still runs on %s: its message waits here", task_id, owner)
            self._look_later(NEXT_LOOK_SECONDS, message, task_id)
        else:
            del self._held[message]
            self._start(message)
