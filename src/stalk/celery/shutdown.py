"""How a worker stops: it takes no more, gives back what it has not begun, and finishes what runs, within its time.

Celery's warm shutdown keeps messages that were delivered but not begun until the last running task has ended, beats and
acknowledges from a second thread, and knows no end but SIGKILL. Here the worker's own event loop goes on turning while
it drains, so heartbeats, acknowledgements, events and remote control work as before. `docs/shutdown.md` says what is
promised; `stalk.celery.consumer` calls this before Celery stops the rest.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from celery.exceptions import WorkerShutdown, WorkerTerminate
from celery.utils.log import get_logger
from celery.utils.threads import bound_open_broker_sockets  # type: ignore[attr-defined]
from celery.worker import state

from stalk.celery.give_back import give_back
from stalk.celery.heartbeat import INTERVAL
from stalk.celery.state import GivenBack

__all__ = ["BROKER_SECONDS", "drain", "leave_after"]

log = get_logger(__name__)

TERM_SECONDS = 3.0
"""How long a child process has for its `finally` blocks, from SIGTERM to SIGKILL."""
KILL_SECONDS = 2.0
STORE_SECONDS = 2.0
"""How long Redis may take to note that tasks were given back; the messages go back in any case."""
BROKER_SECONDS = 5.0
"""How long a broker that does not answer may hold up the end of a connection."""
GOODBYE_SECONDS = 8.0
"""All of that, and Celery's own end, whatever hangs; the chart leaves 10 s between `SHUTDOWN_SECONDS` and SIGKILL."""


def drain(consumer: Any, told: float, seconds: float | None) -> None:
    """Stop consuming, and return when nothing runs in this worker.

    Args:
        consumer: `stalk.celery.consumer.Consumer`; its event loop may have a connection or not.
        told: when it was told to stop, on the monotonic clock.
        seconds: how long running tasks may take; then they are given back. None: as long as they take.

    Raises:
        WorkerTerminate: a cold shutdown was asked for meanwhile (SIGQUIT).
    """
    _Drain(consumer, told, seconds).run()


def leave_after(told: float, seconds: float | None) -> threading.Timer | None:
    """Start the timer that ends this process with exit code 0 when its goodbye takes too long.

    Its tasks have been finished or given back by then, and SIGKILL, two seconds later, would look like a failure. A
    message that could not be given back is the broker's again when the connection ends.

    Args:
        told: when it was told to stop, on the monotonic clock.
        seconds: how long running tasks may take; None: for ever, and there is no timer.
    """
    if seconds is None:
        return None
    timer = threading.Timer(told + seconds + GOODBYE_SECONDS - time.monotonic(), _leave)
    timer.daemon = True
    timer.start()
    return timer


def _leave() -> None:
    log.warning("Stopping: the broker or Redis does not let go; the process ends without them")
    os._exit(0)


class _Drain:
    def __init__(self, consumer: Any, told: float, seconds: float | None) -> None:
        self._consumer = consumer
        self._hub = consumer.hub
        self._pool = consumer.pool
        self._errors = consumer.connection_errors + consumer.channel_errors
        self._seconds = seconds
        self._deadline = float("inf") if seconds is None else told + seconds
        self._loop: Iterator[None] | None = None
        self._next_beat = 0.0

    def run(self) -> None:
        if self._consumer.consuming and self._hub.readers:
            self._stop_consuming()
        else:
            # Told while a connection was being lost or made: the loop does not know the pool's processes.
            log.info("Stopping without a connection to the broker")
            self._go_on_alone()
        self._give_back_waiting()
        if state.reserved_requests:
            log.info("Stopping: %d running tasks are finished first", len(state.reserved_requests))
            self._turn_until(lambda: not state.reserved_requests, self._deadline)
            self._give_back_running()
        # What was said to the broker last is still to be sent.
        self._turn_until(lambda: not self._hub._ready, time.monotonic() + 1)
        for connection in (self._consumer.connection, getattr(self._consumer.event_dispatcher, "connection", None)):
            if connection is not None:
                bound_open_broker_sockets(connection, BROKER_SECONDS)

    # Not taking more

    def _stop_consuming(self) -> None:
        """Cancel without waiting for the answer: what was under way is rejected as it comes, by the message handler."""
        tasks = self._consumer.task_consumer
        try:
            for tag in tasks._active_tags.values():
                tasks.channel.basic_cancel(tag, nowait=True)
            tasks._active_tags.clear()
        except self._errors as error:
            self._lose_connection(error)

    def _give_back_waiting(self) -> None:
        """Return at once the messages whose tasks have not begun: another worker may be idle."""
        if self._consumer.controller.semaphore is not None:
            self._consumer.controller.semaphore.clear()
        for message in self._consumer.let_go_redelivered():
            give_back(message, self._errors)
        waiting = [*self._scheduled(), *self._limited(), *self._unbegun()]
        for request in waiting:
            request.on_reject = partial(self._give_back, request.message)
            request.reject(requeue=True)
            state.task_ready(request)
        if waiting:
            log.info("Stopping: %d tasks that had not begun go back to the queue", len(waiting))

    def _give_back(self, message: Any, *_: Any) -> None:
        """Stand in for a request's own way to reject."""
        give_back(message, self._errors)

    def _scheduled(self) -> Iterator[Any]:
        """Yield what waits in this worker for its time."""
        for request in tuple(state.scheduled_requests):  # type: ignore[attr-defined]
            if request._eta_timer_entry is not None:
                self._consumer.timer.cancel(request._eta_timer_entry)
            yield request

    def _limited(self) -> Iterator[Any]:
        """Yield what waits for a rate limit."""
        for bucket in self._consumer.task_buckets.values():
            if bucket:
                yield from (request for request, _ in bucket.contents)
                bucket.clear_pending()

    def _unbegun(self) -> Iterator[Any]:
        """Yield what waits for a free process: it was never sent to one, or stands in the pool's buffer."""
        buffer = getattr(self._pool._pool, "outbound_buffer", None)
        for request in tuple(state.reserved_requests):
            if request in state.active_requests:
                continue
            if request._apply_result is None:
                yield request
            elif buffer and (job := request._apply_result()) in buffer:
                buffer.remove(job)
                job.discard()
                yield request

    # Finishing what runs

    def _turn_until(self, done: Callable[[], bool], deadline: float) -> None:
        """Turn the worker's event loop until something is so, or the time is over."""
        wake = None if deadline == float("inf") else self._hub.call_later(deadline - time.monotonic(), lambda: None)
        while not done() and time.monotonic() < deadline:
            if state.should_terminate not in (None, False):
                raise WorkerTerminate(state.should_terminate)
            self._beat()
            try:
                if self._loop is None:
                    self._loop = self._hub.create_loop()
                next(self._loop)
            except (StopIteration, WorkerShutdown):
                self._loop = None  # it ended by itself, or was told to stop again, by remote control
            except self._errors as error:
                self._lose_connection(error)
        if wake is not None:
            wake.cancel()

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._consumer.files.beat()
            self._next_beat = time.monotonic() + INTERVAL

    def _lose_connection(self, error: BaseException) -> None:
        """Go on without the broker: it has given the messages of the running tasks to others, who wait for us."""
        log.warning("Stopping: the broker is gone (%r); running tasks are finished all the same", error)
        self._go_on_alone()

    def _go_on_alone(self) -> None:
        """Turn the event loop with nothing in it but the pool's processes."""
        consumer = self._consumer
        consumer.tell_running()
        consumer.send_heartbeats_once()
        connection, consumer.connection = consumer.connection, None
        _collect(connection)
        self._loop = None
        try:
            self._hub.reset()
        except Exception:  # it calls what was to be called next: another connection's reader, say
            log.debug("the event loop did not let go of the connection", exc_info=True)
        consumer.consuming = False
        consumer.controller.register_with_event_loop(self._hub)

    # When the time is over

    def _give_back_running(self) -> None:
        """Return the messages of the tasks that still run, when their processes have ended."""
        running = [
            request for request in tuple(state.active_requests) if request.task.acks_late and not request.acknowledged
        ]
        if not running:
            return
        log.warning("Stopping: %d tasks still run after %s s and go back to the queue", len(running), self._seconds)
        for request in running:
            request._already_cancelled = True  # so that the end of its process is no failure
        ended = self._end_processes(running)
        left = [request for request in running if not request.acknowledged]  # not one that ended well meanwhile
        self._say_given_back(left)
        for request in left:
            request.reject(requeue=True)
            state.task_ready(request)
        if not ended:
            self._end_now()

    def _end_processes(self, requests: Iterable[Any]) -> bool:
        """End the processes that execute these; return whether they have ended, which threads cannot."""
        pids = {request.worker_pid for request in requests} - {os.getpid()}
        if not pids:
            return False
        for pid in pids:
            self._pool.terminate_job(pid, signal.SIGTERM)
        alive = self._pool._pool._process_by_pid
        self._turn_until(lambda: not any(alive(pid)[0] for pid in pids), time.monotonic() + TERM_SECONDS)
        for pid in pids:
            self._pool.terminate_job(pid, signal.SIGKILL)
        self._turn_until(lambda: not any(alive(pid)[0] for pid in pids), time.monotonic() + KILL_SECONDS)
        return True

    def _say_given_back(self, requests: list[Any]) -> None:
        """Store for each that it was given back. In a thread, for Celery retries for ever while Redis is away."""
        reason = f"worker {self._consumer.hostname} was told to stop, and its {self._seconds:g} s are over"

        def store() -> None:
            for request in requests:
                if request.store_errors:
                    request.task.backend.mark_as_retry(request.id, GivenBack(reason), request=request._context)

        deadline = time.monotonic() + STORE_SECONDS
        thread = threading.Thread(target=store, name="stalk-given-back", daemon=True)
        thread.start()
        self._consumer.give_back_running(request.id for request in requests)
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            log.warning("Stopping: Redis does not take the state of the tasks that were given back")

    def _end_now(self) -> None:
        """End this process: a thread that runs a task ends in no other way, and somebody else begins it now."""
        self._turn_until(lambda: not self._hub._ready, time.monotonic() + 1)
        _collect(self._consumer.connection)
        os._exit(0)


def _collect(connection: Any) -> None:
    """Close a connection, if there is one, whatever state it is in."""
    if connection is not None:
        bound_open_broker_sockets(connection, BROKER_SECONDS)
        try:
            connection.collect(socket_timeout=BROKER_SECONDS)
        except Exception:
            log.debug("the connection did not close", exc_info=True)
