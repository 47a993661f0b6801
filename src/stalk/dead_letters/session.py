"""One run of `stalk dead-letters`: the app, one connection to its broker, its result store, and what may go wrong."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from amqp.exceptions import AccessRefused, AMQPError
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from stalk.celery.queues import dead_letter_queue_name
from stalk.commands import app_with
from stalk.dead_letters.shelf import NotPublished, Shelf, count, task_queue_name
from stalk.dead_letters.states import States

__all__ = ["APP_VARIABLE", "QUEUES_VARIABLE", "Problem", "Session", "messages", "run"]

APP_VARIABLE = "STALK_APP"
"""Environment variable with what `-A` is when it is not given."""
QUEUES_VARIABLE = "STALK_QUEUES"
"""Environment variable with the names of further queues, a JSON list: those of pools that the app does not name."""

BROKER_SECONDS = {"connect_timeout": 5, "read_timeout": 60, "write_timeout": 60}


class Problem(Exception):
    """What is wrong, in one line."""


@dataclass
class Session:
    """What a subcommand works with."""

    connection: Connection
    states: States
    known: tuple[str, ...]
    """The task queues of the app and of the environment, sorted."""
    settled: int = 0
    """Dead letters taken off so far, for the line that says where it ended."""

    def count(self, queue: str) -> int:
        """Return how many dead letters a task queue has.

        Raises:
            Problem: it has no dead-letter queue; the text says which there are.
        """
        number = count(self.connection, queue)
        if number is not None:
            return number
        missing = f"there is no queue {dead_letter_queue_name(queue)!r}"
        there = [other for other in self.known if count(self.connection, other) is not None]
        if there:
            raise Problem(f"{missing}; there are: {', '.join(there)}. Run: stalk dead-letters list")
        raise Problem(f"{missing}; run: stalk topology --queue {queue}")

    def refuse_counted(self, queue: str) -> None:
        """Refuse to take what would have to be given back, where RabbitMQ counts that.

        Raises:
            Problem: it does; the text says what to do.
        """
        if Shelf.counts_looks(self.connection, queue):
            name = dead_letter_queue_name(queue)
            raise Problem(
                f"queue {name!r} has another x-delivery-limit than Stalk gives it, so RabbitMQ may drop a message that "
                "is looked at 20 times. Replay or drop all of it (--all), delete the queue, then run: "
                f"stalk topology --queue {queue}"
            )


def run(app_name: str | None, names: Iterable[str], done: str, work: Callable[[Session], None]) -> str | None:
    """Run a subcommand and return what is wrong, in one line, or None.

    Args:
        app_name: as for `celery -A`; without one, the environment's, or none.
        names: queues that the command line names, or their dead-letter queues.
        done: what the subcommand does with a message, as in "3 dead letters replayed".
        work: the subcommand.
    """
    queues = [task_queue_name(name) for name in names]
    try:
        session = _session(app_name or os.environ.get(APP_VARIABLE) or None, queues)
    except (Problem, ValueError) as error:
        return str(error)
    problem = None
    try:
        with session.connection:
            session.connection.connect()
            work(session)
    except (Problem, NotPublished) as error:
        problem = str(error)
    except RedisError as error:
        problem = f"Redis does not answer, so no task's state can be set: {error}"
    except AccessRefused as error:
        problem = f"the broker's user may not: {error.reply_text}"
    except (OSError, AMQPError, OperationalError) as error:
        problem = f"no broker: {str(error) or type(error).__name__}"
        if session.settled:
            problem += ". What was not acknowledged is still there, and to run this again is safe"
    finally:
        session.states.close()
    if problem is None or not session.settled:
        return problem
    return f"{messages(session.settled)} {done}, then: {problem}"


def messages(number: int) -> str:
    """Return the number with its noun."""
    return f"{number} dead letter{'' if number == 1 else 's'}"


def _session(app_name: str | None, queues: Sequence[str]) -> Session:
    further = _further_queues()
    if app_name is None and not queues and not further:
        raise Problem(f"name a Celery app (-A module:attr, or {APP_VARIABLE}) or a queue (--queue NAME)")
    app = app_with(app_name, () if app_name else queues or further)
    options = {**app.conf.broker_transport_options, **BROKER_SECONDS}
    connection: Connection = app.connection_for_write(heartbeat=0, transport_options=options)
    return Session(connection, States(app), tuple(sorted({*further, *app.amqp.queues})))


def _further_queues() -> list[str]:
    text = os.environ.get(QUEUES_VARIABLE) or "[]"
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Problem(f"{QUEUES_VARIABLE} must be a JSON list of queue names, not {text!r}")
    return names
