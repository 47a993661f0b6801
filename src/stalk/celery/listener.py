"""Being told when a task's state changes, over one connection to Redis however many watch."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from celery.utils.log import get_logger
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from stalk.celery.state import COMMAND_SECONDS, ResultsUnavailable, TaskState

__all__ = ["Listener", "Watch"]

log = get_logger(__name__)

RECONNECT_SECONDS = 0.5
"""Pause before the listener connects again."""
SILENCE_SECONDS = 10.0
"""After this long without a message Redis is asked for a sign of life; after twice as long it counts as gone."""
HELLO = "stalk:listening"
"""A channel that nobody publishes to: a subscription to it keeps the listener's connection in subscribed state."""


class Watch:
    """The last state of a task that a client has not read yet."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self._changed = asyncio.Event()
        self._latest: TaskState | None = None

    def put(self, state: TaskState) -> None:
        """Take a newer state; nothing follows one that has ended."""
        if self._latest is None or not self._latest.ended:
            self._latest = state
            self._changed.set()

    async def states(self) -> AsyncIterator[TaskState]:
        """Yield each state as it comes, until the end."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            state = self._latest
            assert state is not None  # noqa: S101 (put sets it before the event)
            yield state
            # Not the latest: it may have ended while the reader had this one.
            if state.ended:
                return


class Listener:
    """One subscription connection for all watches: Celery publishes each stored state under the result's key.

    Args:
        url: where Redis is.
        read: returns the present states of the ids.
        decode: returns the state that a published payload stands for.
    """

    def __init__(
        self,
        url: str,
        read: Callable[[list[str]], Awaitable[list[TaskState | None]]],
        decode: Callable[[str, bytes], TaskState],
    ) -> None:
        self._read = read
        self._decode = decode
        # No time limit on reading, for silence is the normal state; no retry within, for what was missed must be read.
        self._client: Redis = Redis.from_url(
            url, socket_connect_timeout=COMMAND_SECONDS, socket_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        self._pubsub: PubSub | None = None
        self._watches: dict[str, set[Watch]] = defaultdict(set)
        self._subscribed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; Redis need not be up."""
        self._task = asyncio.create_task(self._listen(), name="stalk-results")

    async def stop(self) -> None:
        """End, and close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._client.aclose()

    @asynccontextmanager
    async def watch(self, channel: str, task_id: str) -> AsyncIterator[Watch]:
        """Register a watch; once this is entered, no later state is missed.

        Raises:
            ResultsUnavailable: Redis does not take the subscription.
        """
        watch = Watch(task_id)
        self._watches[channel].add(watch)
        try:
            await self._subscribe(channel)
            yield watch
        finally:
            self._watches[channel].discard(watch)
            if not self._watches[channel]:
                await self._unsubscribe(channel)

    async def _subscribe(self, channel: str) -> None:
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                if self._pubsub is not None and not self._subscribed[channel].is_set():
                    await self._pubsub.subscribe(channel)
                await self._subscribed[channel].wait()
        except (TimeoutError, RedisError, OSError) as error:
            raise ResultsUnavailable("Redis does not take a subscription") from error

    async def _unsubscribe(self, channel: str) -> None:
        del self._watches[channel]
        self._subscribed.pop(channel, None)
        if self._pubsub is not None:
            try:
                await self._pubsub.unsubscribe(channel)
            except (RedisError, OSError):
                log.debug("could not unsubscribe from %s", channel, exc_info=True)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    await self._resume(pubsub)
                    await self._follow(pubsub)
            except (RedisError, OSError, ResultsUnavailable) as error:
                log.warning("listening for results again in %s s: %s", RECONNECT_SECONDS, error)
            except Exception:
                log.exception("listening for results again in %s s", RECONNECT_SECONDS)
            self._pubsub = None
            self._subscribed.clear()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _resume(self, pubsub: PubSub) -> None:
        """Subscribe to all that is watched, then read what changed while nobody listened."""
        self._pubsub = pubsub
        expected = {HELLO, *self._watches}
        await pubsub.subscribe(*expected)
        while expected:
            message = await pubsub.get_message(timeout=COMMAND_SECONDS)
            if message is None:
                raise RedisConnectionError("no answer to a subscription")
            self._take(message)
            expected.discard(message["channel"].decode())
        watches = [watch for group in self._watches.values() for watch in group]
        for watch, state in zip(watches, await self._read([watch.task_id for watch in watches]), strict=True):
            if state is not None:
                watch.put(state)

    async def _follow(self, pubsub: PubSub) -> None:
        """Take messages for ever.

        Raises:
            RedisError: the connection is lost, or Redis is silent even when asked.
        """
        asked = False
        while True:
            message = await pubsub.get_message(timeout=SILENCE_SECONDS)
            if message is not None:
                asked = False
                self._take(message)
            elif asked:
                raise RedisConnectionError("Redis is silent")
            else:
                asked = True
                await pubsub.ping()

    def _take(self, message: dict[str, Any]) -> None:
        kind, channel = message["type"], message["channel"]
        if kind == "subscribe" and channel.decode() in self._watches:
            self._subscribed[channel.decode()].set()
        elif kind == "message":
            for watch in self._watches.get(channel.decode(), ()):
                watch.put(self._decode(watch.task_id, message["data"]))
