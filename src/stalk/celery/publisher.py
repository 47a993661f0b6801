"""Publishing from asyncio: what is returned as accepted, the broker has confirmed.

Celery's own client blocks its caller and waits for one confirm at a time. Here one thread owns one connection: it takes
all messages that wait, publishes them, waits for their confirms together, and wakes the event loop once a batch.
Messages are built, routed and sent by Celery itself.
"""

import asyncio
import queue
import select
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from amqp.exceptions import NotFound
from celery import Celery
from celery.utils.log import get_logger
from celery.utils.nodenames import anon_nodename
from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from kombu.transport.native_delayed_delivery import MAX_LEVEL, calculate_routing_key, level_name
from kombu.utils.url import maybe_sanitize_url

from stalk.topology import TopologyError, declare

__all__ = ["BrokerUnavailable", "Publisher", "TaskMessage"]

log = get_logger(__name__)

CONNECT_SECONDS = 1.5
"""How long one attempt to connect may take."""
CONFIRM_SECONDS = 2.0
"""How long the broker may take to confirm a batch; with the time to connect this stays below `CALLER_SECONDS`."""
CALLER_SECONDS = 4.5
"""How long a caller waits at most, a batch before its own included."""
PAUSE_SECONDS = 0.5
"""After a failed connect, callers fail at once for this long instead of queueing behind another attempt."""
BATCH = 256
"""Messages confirmed together at most: bounds what one lost connection leaves in doubt."""


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """A task to send."""

    name: str
    args: Sequence[object]
    """Positional arguments, JSON values."""
    task_id: str
    queue: str
    countdown: int = 0
    """Whole seconds that it waits in the broker first."""


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or did not confirm in time: the caller must not tell anybody that it accepted."""


@dataclass(slots=True)
class _Link:
    """One connection to the broker, with one channel in confirm mode."""

    connection: Connection
    channel: Any
    producer: Producer
    published: int = 0
    """Delivery tag of the last message."""
    unconfirmed: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    returned: bool = False
    """A message reached an exchange but no queue."""
    blocked: bool = False
    """The broker has a memory or disk alarm and reads nothing from publishers."""

    def sent(self) -> int:
        """Note that a message leaves, and return its delivery tag."""
        self.published += 1
        self.unconfirmed.add(self.published)
        return self.published

    def confirmed(self, tag: int, multiple: bool) -> None:
        """Take the broker's ack, of one message or of all up to this one."""
        if multiple:
            self.unconfirmed = {other for other in self.unconfirmed if other > tag}
        else:
            self.unconfirmed.discard(tag)

    def nacked(self, tag: int, multiple: bool) -> None:
        """Take the broker's refusal, of one message or of all up to this one."""
        self.refused |= {other for other in self.unconfirmed if other == tag or (multiple and other < tag)}
        self.confirmed(tag, multiple)

    @contextmanager
    def corked(self) -> Iterator[None]:
        """Collect what is written meanwhile and send it at once.

        Raises:
            OSError: the broker does not read, or is gone.
        """
        transport = self.connection.connection.transport
        held = bytearray()
        send, transport._write = transport._write, held.extend
        try:
            yield
        finally:
            transport._write = send
        transport.write(bytes(held))

    def is_open(self) -> bool:
        """Tell whether the broker is still there, as far as the socket knows; reads what it has sent meanwhile."""
        try:
            readable, _, _ = select.select([self.connection.connection.sock], [], [], 0)
            if readable:
                self.connection.drain_events(timeout=0.1)
        except TimeoutError:
            pass
        except Exception:
            return False
        return bool(self.connection.connected)

    def await_confirms(self) -> None:
        """Read until the broker has answered for every message.

        Raises:
            TimeoutError, BrokerUnavailable: it has not.
        """
        deadline = time.monotonic() + CONFIRM_SECONDS
        while self.unconfirmed:
            self.connection.drain_events()
            if self.blocked:
                raise BrokerUnavailable("the broker takes no messages: it has a memory or disk alarm")
            if time.monotonic() > deadline:
                raise TimeoutError("the broker did not confirm in time")

    def impatient(self) -> AbstractContextManager[object]:
        """Give each write and read `CONFIRM_SECONDS`, set once for a batch.

        Every system call hands the interpreter lock to the event loop and waits to get it back; with py-amqp's own
        time limit there are four for each confirm.
        """
        limit: AbstractContextManager[object] = self.connection.connection.transport.having_timeout(CONFIRM_SECONDS)
        return limit


@dataclass(slots=True)
class _Job:
    """A task to send or a question to ask, and who waits for it."""

    what: TaskMessage | Callable[[_Link], object]
    future: asyncio.Future[Any]
    result: object = None
    error: BrokerUnavailable | None = None
    tag: int = 0
    """Delivery tag of the message sent; 0 for a question."""

    def resolve(self) -> None:
        """Tell the one who waits; runs on the event loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Publisher:
    """Sends tasks of one Celery app from one event loop.

    Args:
        app: an app that `stalk.celery.configure` has set up.

    Use it from the event loop that called `start`.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._link: _Link | None = None
        self._closed_until = 0.0
        self._declare_first = True
        self._origin = anon_nodename()

    def start(self) -> None:
        """Begin; the broker need not be up."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="stalk-publisher", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End after what was submitted before."""
        self._jobs.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, CALLER_SECONDS)

    async def publish(self, message: TaskMessage) -> None:
        """Send one task and return when the broker has taken responsibility for it.

        Raises:
            BrokerUnavailable: there is no confirm. The task may still run, where the broker took it but could not say.
        """
        await self._submit(message)

    async def queue_lengths(self, names: Iterable[str]) -> dict[str, int]:
        """Return the number of ready messages of each queue; a queue that does not exist has none.

        Raises:
            BrokerUnavailable: the broker cannot be asked.
        """
        wanted = tuple(names)
        lengths: dict[str, int] = await self._submit(
            lambda link: {name: _ready_messages(link.connection, name) for name in wanted}
        )
        return lengths

    async def ping(self) -> None:
        """Return when the broker has answered.

        Raises:
            BrokerUnavailable: it has not.
        """
        await self._submit(lambda link: link.channel.basic_qos(0, 0, False))

    async def terminate(self, task_id: str) -> None:
        """Tell every worker that is alive to stop this task if it runs there.

        Raises:
            BrokerUnavailable: the broker cannot be told.
        """
        try:
            async with asyncio.timeout(CALLER_SECONDS):
                await asyncio.to_thread(self._app.control.revoke, task_id, terminate=True)
        except (TimeoutError, OSError, OperationalError) as error:
            raise _unavailable(error) from error

    async def _submit(self, what: TaskMessage | Callable[[_Link], object]) -> Any:
        if self._loop is None:
            raise RuntimeError("start the publisher first")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put(_Job(what, future))
        try:
            async with asyncio.timeout(CALLER_SECONDS):
                return await future
        except TimeoutError:
            raise BrokerUnavailable("the broker did not answer in time") from None

    # What follows runs in the publisher's thread.

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                self._run(batch)
            except Exception as error:
                self._drop(error)
                failure = _unavailable(error)
                for job in batch:
                    job.error = failure
            self._wake(batch)
        self._drop()

    def _next_batch(self) -> list[_Job]:
        """Wait for a job and take all that are there, `BATCH` at most; an empty batch means the end."""
        first = self._jobs.get()
        batch = []
        while first is not None:
            if not first.future.cancelled():
                batch.append(first)
            if len(batch) == BATCH:
                break
            try:
                first = self._jobs.get(block=not batch)
            except queue.Empty:
                break
        else:
            if batch:
                self._jobs.put(None)
        return batch

    def _run(self, batch: list[_Job]) -> None:
        """Do the jobs and wait for the broker's confirms."""
        link = self._connected()
        link.refused.clear()
        link.returned = False
        with link.impatient():
            with link.corked():
                for job in batch:
                    if isinstance(job.what, TaskMessage):
                        self._send(link, job.what)
                        job.tag = link.sent()
            link.await_confirms()
        for job in batch:
            if not isinstance(job.what, TaskMessage):
                job.result = job.what(link)
        if link.returned:
            raise _NoQueue("no queue takes the task; run: stalk topology")
        for job in batch:
            if job.tag in link.refused:
                job.error = BrokerUnavailable("the queue refuses messages: it is full or has no quorum")

    def _wake(self, batch: list[_Job]) -> None:
        def resolve() -> None:
            for job in batch:
                job.resolve()

        assert self._loop is not None  # noqa: S101 (start sets it before the thread runs)
        try:
            self._loop.call_soon_threadsafe(resolve)
        except RuntimeError:
            log.debug("the event loop is closed: nobody waits any more")

    def _send(self, link: _Link, task: TaskMessage) -> None:
        """Publish as Celery's `send_task` does, but subscribe to no result and wait for no confirm."""
        amqp = self._app.amqp
        target = amqp.queues[task.queue]
        exchange, routing_key = target.exchange.name, target.routing_key
        if task.countdown:
            exchange, routing_key = level_name(MAX_LEVEL), calculate_routing_key(task.countdown, routing_key)
        amqp.send_task_message(
            link.producer,
            task.name,
            amqp.create_task_message(
                task.task_id,
                task.name,
                task.args,
                {},
                countdown=task.countdown or None,
                # What Celery would find out again for each message.
                origin=self._origin,
                argsrepr=repr(tuple(task.args))[: amqp.argsrepr_maxsize],
                kwargsrepr="{}",
            ),
            exchange=exchange,
            exchange_type="topic",
            routing_key=routing_key,
            mandatory=True,  # a confirm alone also comes for a message that no queue took
            retry=False,
        )

    def _connected(self) -> _Link:
        if self._link is not None and not self._link.is_open():
            self._drop()
        if self._link is None:
            if time.monotonic() < self._closed_until:
                raise BrokerUnavailable("the broker could not be reached a moment ago")
            try:
                self._link = self._connect()
            except Exception:
                self._closed_until = time.monotonic() + PAUSE_SECONDS
                raise
        return self._link

    def _connect(self) -> _Link:
        # No heartbeat: nobody reads between two batches. A dead peer shows as an error or as a missing confirm.
        connection = self._app.connection_for_write(heartbeat=0, connect_timeout=CONNECT_SECONDS)
        connection.transport_options = {}  # without Celery's wait for each confirm
        connection.connect()
        if self._declare_first:
            self._declare(connection)
            self._declare_first = False
        channel: Any = connection.channel()
        channel.confirm_select()
        link = _Link(connection, channel, Producer(channel, auto_declare=False))
        connection.connection.on_blocked = lambda _reason: setattr(link, "blocked", True)
        connection.connection.on_unblocked = lambda: setattr(link, "blocked", False)
        channel.events["basic_ack"].add(link.confirmed)
        channel.events["basic_nack"].add(link.nacked)
        channel.events["basic_return"].add(lambda *_: setattr(link, "returned", True))
        _stop_polling(connection.connection)
        log.info("publishing to %s", maybe_sanitize_url(self._app.conf.broker_url))
        return link

    def _declare(self, connection: Connection) -> None:
        """Declare the app's queues, so that a task is accepted before any worker has run.

        A user without the right to configure, or queues that exist in another form, are no reason to stop here:
        publishing says whether they take the task.
        """
        try:
            declare(connection, self._app.amqp.queues.values())
        except TopologyError as error:
            log.warning("queues are used as they are: %s", error)

    def _drop(self, reason: Exception | None = None) -> None:
        self._declare_first = self._declare_first or isinstance(reason, NotFound | _NoQueue)
        link, self._link = self._link, None
        if link is not None:
            try:
                link.connection.collect(socket_timeout=0.5)
            except Exception:
                log.debug("the broken connection did not close", exc_info=True)


class _NoQueue(BrokerUnavailable):
    """The broker is there, the queue is not."""


def _stop_polling(connection: Any) -> None:
    """Keep py-amqp from reading the socket before each message: `await_confirms` reads what the broker has to say."""
    capabilities = dict(connection.client_properties["capabilities"])
    capabilities.pop("connection.blocked", None)
    connection.client_properties = {**connection.client_properties, "capabilities": capabilities}


def _unavailable(error: Exception) -> BrokerUnavailable:
    if isinstance(error, BrokerUnavailable):
        return error
    log.warning("the broker is not available: %r", error)
    return BrokerUnavailable(str(error) or type(error).__name__)


def _ready_messages(connection: Connection, name: str) -> int:
    channel = connection.connection.channel()
    try:
        return int(channel.queue_declare(name, passive=True).message_count)
    except NotFound:
        return 0
    finally:
        channel.close()
