"""Telling other workers which tasks run here, so that a task whose connection was lost is not run twice.

RabbitMQ gives a message to somebody else as soon as the connection is gone over which it was delivered; that the task
still runs, it cannot know. So a worker says it in the result store: every few seconds, and at once when it loses the
broker. Whoever is given the message again asks there first (`stalk.celery.redelivery`).
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable

from celery.utils.log import get_logger
from celery.worker import state
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from stalk.celery.keys import running_key
from stalk.celery.state import COMMAND_SECONDS

__all__ = ["LEASE_SECONDS", "REFRESH_SECONDS", "RunningTasks", "running_ids"]

log = get_logger(__name__)

REFRESH_SECONDS = 4.0
"""Pause between two writes; a task that is shorter costs none most of the time."""
RETRY_SECONDS = 1.0
"""Pause after a write that failed."""
SETTLED_SECONDS = REFRESH_SECONDS + 1
"""How long Redis has to answer before a missing key means that nobody runs the task.

While it was away no worker could say so again, and the keys expired: within this time each that is alive has.
"""
LEASE_SECONDS = 12
"""How long a task counts as running after its worker last said so: what the task of a worker that was killed waits."""

Owner = str | None
"""The worker that runs a task, an empty text for nobody, or None: Redis cannot be asked, or cannot know yet."""


def running_ids() -> set[str]:
    """Return the ids of the tasks that a process of this worker executes now; may be called from any thread."""
    while True:
        try:
            return {request.id for request in state.active_requests}
        except RuntimeError:  # the main thread added one meanwhile
            continue


class RunningTasks:
    """A thread that keeps a key in Redis for each task that runs here, and asks for those of others.

    Args:
        url: where Redis is.
        worker: this worker's node name.
        running: returns the ids of the tasks that run here.
    """

    def __init__(self, url: str, worker: str, running: Callable[[], set[str]] = running_ids) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=COMMAND_SECONDS,
            socket_connect_timeout=COMMAND_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._worker = worker
        self._running = running
        self._told: set[str] = set()
        # Who has just started has seen no outage; that Redis was started anew, it says itself.
        self._answers_since: float | None = float("-inf")
        self._warned = False
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="stalk-running", daemon=True)

    def start(self) -> None:
        """Begin; Redis need not be up."""
        self._thread.start()

    def end(self) -> None:
        """Take all keys back, as far as Redis can be reached, and end; returns without waiting for it."""
        self._jobs.put(lambda: self._forget(self._told))
        self._jobs.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        self._thread.join(seconds)

    def tell(self) -> None:
        """Write at once what runs now; returns without waiting for it."""
        self._jobs.put(self._refresh)

    def ask(self, task_id: str, answer: Callable[[Owner], None]) -> None:
        """Find out who runs a task; `answer` is called in this object's thread."""
        self._jobs.put(lambda: answer(self._owner(task_id)))

    def given_back(self, ids: Iterable[str]) -> None:
        """Take the keys of these tasks back, as they run no more; waits for Redis for a moment."""
        done = threading.Event()
        gone = set(ids)

        def forget() -> None:
            try:
                self._forget(gone)
            finally:
                done.set()

        self._jobs.put(forget)
        done.wait(COMMAND_SECONDS)

    def _work(self) -> None:
        next_refresh = time.monotonic()
        while True:
            try:
                wait = next_refresh - time.monotonic()
                job = self._jobs.get(timeout=wait) if wait > 0 else self._refresh
            except queue.Empty:
                job = self._refresh
            if job is None:
                self._client.close()
                return
            if job == self._refresh:
                next_refresh = time.monotonic() + REFRESH_SECONDS
            try:
                job()
            except NoPermissionError as error:
                self._may_not(error)
            except (RedisError, OSError) as error:
                log.debug("cannot tell what runs here: %s", error)
                self._answers_since = None
                next_refresh = time.monotonic() + RETRY_SECONDS
            except Exception:
                log.exception("cannot tell what runs here")

    def _refresh(self) -> None:
        running = self._running()
        gone, self._told = self._told - running, running
        pipeline = self._client.pipeline(transaction=False)
        for task_id in running:
            pipeline.set(running_key(task_id), self._worker, ex=LEASE_SECONDS)
        for task_id in gone:
            pipeline.delete(running_key(task_id))
        if not running:
            # Who runs nothing is asked to run what others have lost, and must know that nobody can write.
            pipeline.set(running_key(""), self._worker, ex=LEASE_SECONDS)
        pipeline.execute()
        self._answered()

    def _forget(self, ids: set[str]) -> None:
        if ids:
            self._client.delete(*map(running_key, ids))
            self._told = self._told - ids

    def _owner(self, task_id: str) -> Owner:
        try:
            owner = self._client.get(running_key(task_id))
            self._answered()
            if owner:
                return str(owner)
            return "" if self._settled() else None
        except NoPermissionError as error:
            self._may_not(error)
            return ""
        except (RedisError, OSError):
            self._answers_since = None
            return None

    def _may_not(self, error: NoPermissionError) -> None:
        """Say once that Redis is there and its user may not: to wait would not change that."""
        if not self._warned:
            log.warning("a task whose connection is lost may run twice: Redis refuses keys stalk:running:*: %s", error)
            self._warned = True

    def _answered(self) -> None:
        if self._answers_since is None:
            self._answers_since = time.monotonic()

    def _settled(self) -> bool:
        """Tell whether every worker that is alive has had the time to say what runs there."""
        if self._answers_since is None or time.monotonic() - self._answers_since < SETTLED_SECONDS:
            return False
        try:
            # One that was quickly started anew may have lost all keys.
            uptime: float = self._client.info("server").get("uptime_in_seconds", SETTLED_SECONDS)
        except ResponseError:  # its user may not ask
            return True
        return uptime >= SETTLED_SECONDS
