"""The subcommands of `stalk dead-letters`. Each returns what is wrong, or None."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from amqp import Message
from celery import states
from redis.exceptions import RedisError

from stalk.celery.queues import dead_letter_queue_name
from stalk.celery.running import LEASE_SECONDS
from stalk.dead_letters.letter import DeadLetter
from stalk.dead_letters.session import Problem, Session, messages, run
from stalk.dead_letters.shelf import NotPublished, Shelf, count, task_queue_name
from stalk.dead_letters.states import Known
from stalk.dead_letters.summary import Summary
from stalk.dead_letters.text import letter_text, summaries_text

__all__ = ["drop", "list_all", "replay", "show"]

SAMPLE = 1000
"""Messages of a queue that `list` looks into: 1000 are read in about a second, 100,000 would be held for minutes."""


def list_all(app_name: str | None, names: Sequence[str], as_json: bool) -> str | None:
    """Print of each dead-letter queue how many there are, how old, which tasks and why.

    Args:
        app_name: as for `celery -A`: its queues; without one, the environment's.
        names: only these queues.
        as_json: print a JSON list instead of a table.
    """

    def work(session: Session) -> None:
        if names:
            found = [_summary(session, queue, session.count(queue)) for queue in map(task_queue_name, names)]
        else:
            numbers = {queue: count(session.connection, queue) for queue in session.known}
            found = [
                _summary(session, queue, number)
                if number is not None
                else Summary(queue, 0, note=f"does not exist; run: stalk topology --queue {queue}")
                for queue, number in numbers.items()
            ]
        print(json.dumps([each.as_json() for each in found], indent=2) if as_json else summaries_text(found))

    return run(app_name, names, "read", work)


def show(app_name: str | None, name: str, limit: int, ids: Sequence[str], as_json: bool) -> str | None:
    """Print dead letters of one queue, oldest first: those with these ids, or the first `limit`."""

    def work(session: Session) -> None:
        queue = task_queue_name(name)
        number = session.count(queue)
        session.refuse_counted(queue)
        with Shelf.open(session.connection, queue) as shelf:
            chosen = _chosen(shelf, number if ids else limit, ids)
            letters = [letter for _, letter in chosen]
        known = _states(session, letters)
        if as_json:
            print(json.dumps([each.as_json() | {"state": known.get(each.id)} for each in letters], indent=2))
        else:
            texts = [letter_text(each, known.get(each.id)) for each in letters]
            print("\n\n".join(texts) if texts else f"nothing to show of {dead_letter_queue_name(queue)}")
            if not ids and number > len(letters):
                print(f"\n{number - len(letters)} more; --limit N shows more of them")
        _refuse_missing(queue, ids, letters)

    return run(app_name, [name], "read", work)


def replay(app_name: str | None, name: str, ids: Sequence[str], dry_run: bool, again: bool) -> str | None:
    """Put dead letters of one queue back into their task queue: those with these ids, or all that are there now.

    What must not run now is left and named: a task that has succeeded, was revoked, or runs; and a letter that was put
    back before and whose acknowledgement got lost, unless `again` says that its copy is gone.
    """
    if again and not ids:
        return "--again takes --id: name the tasks that neither wait nor run"

    def work(session: Session) -> None:
        queue = task_queue_name(name)
        number = session.count(queue)
        if ids or dry_run:
            session.refuse_counted(queue)
        letters = []
        with Shelf.open(session.connection, queue) as shelf:
            for message, letter in _chosen(shelf, number, ids):
                letters.append(letter)
                if reason := _reason_to_leave(session.states.known(letter), letter, queue, again):
                    print(f"left {letter.id}: {reason}", file=sys.stderr)
                elif dry_run:
                    print(f"would replay {letter.id or 'no task'} {letter.task or letter.args}")
                elif _put_back(session, shelf, message, letter, again):
                    session.settled += 1
                else:
                    print(f"left {letter.id}: another replay has it", file=sys.stderr)
        if not dry_run:
            print(f"replayed {messages(session.settled)} to {queue}")
        _refuse_missing(queue, ids, letters)

    return run(app_name, [name], "replayed", work)


def drop(app_name: str | None, name: str, ids: Sequence[str], yes: bool) -> str | None:
    """Throw dead letters of one queue away: those with these ids, or all that are there now.

    A task that runs is left and named. A copy that an interrupted replay may have put into the task queue is revoked.
    """

    def work(session: Session) -> None:
        queue = task_queue_name(name)
        number = session.count(queue)
        if ids:
            session.refuse_counted(queue)
        what = f"{messages(len(set(ids)) if ids else number)} of {dead_letter_queue_name(queue)}"
        if not yes and not _agreed(f"Drop {what} for ever? [y/N] "):
            raise Problem("nothing dropped")
        letters = []
        with Shelf.open(session.connection, queue) as shelf:
            for message, letter in _chosen(shelf, number, ids):
                letters.append(letter)
                known = session.states.known(letter)
                if reason := _reason_to_keep(known, letter, name):
                    print(f"left {letter.id}: {reason}", file=sys.stderr)
                    continue
                if letter.id and not known.ended:
                    session.states.dropped(letter.id, revoke=known.replayed is not None)
                    if known.replayed:
                        print(f"revoked {letter.id}: the copy of {known.replayed} will not run", file=sys.stderr)
                shelf.drop(message)
                session.settled += 1
        print(f"dropped {messages(session.settled)} of {dead_letter_queue_name(queue)}")
        _refuse_missing(queue, ids, letters)

    return run(app_name, [name], "dropped", work)


def _summary(session: Session, queue: str, number: int) -> Summary:
    if number and Shelf.counts_looks(session.connection, queue):
        return Summary(queue, number, note="not looked into: RabbitMQ counts it, see docs/dead-letters.md")
    summary = Summary(queue, number)
    with Shelf.open(session.connection, queue) as shelf:
        for message in shelf.take(min(number, SAMPLE)):
            summary.add(DeadLetter.read(message))
    return summary


def _chosen(shelf: Shelf, most: int, ids: Sequence[str]) -> Iterator[tuple[Message, DeadLetter]]:
    """Yield the first messages, or those of them with these ids; nothing of the others is kept in memory."""
    missing = set(ids)
    for message in shelf.take(most):
        letter = DeadLetter.read(message)
        if not ids or letter.id in missing:
            yield message, letter
            missing.discard(letter.id or "")
            if ids and not missing:
                return


def _refuse_missing(queue: str, ids: Sequence[str], letters: Iterable[DeadLetter]) -> None:
    missing = sorted(set(ids) - {letter.id for letter in letters})
    if missing:
        raise Problem(f"not in {dead_letter_queue_name(queue)}: {', '.join(missing)}")


def _states(session: Session, letters: Iterable[DeadLetter]) -> dict[str | None, str]:
    """Return the tasks' states, or nothing where Redis is away: the letters can be read without."""
    known: dict[str | None, str] = {}
    try:
        known.update(session.states.of(letter.id for letter in letters if letter.id))
    except RedisError as error:
        print(f"Redis does not answer, so states are missing: {error}", file=sys.stderr)
    return known


def _put_back(session: Session, shelf: Shelf, message: Message, letter: DeadLetter, again: bool) -> bool:
    """Put one letter back; return False when somebody else has just done so."""
    if letter.id is None:
        shelf.put_back(message)
        return True
    if not session.states.claim(letter, again):
        return False
    session.states.wait_again(letter.id)  # before a worker can say more than that
    try:
        shelf.put_back(message)
    except NotPublished:
        session.states.unclaim(letter)
        raise
    return True


def _reason_to_leave(known: Known, letter: DeadLetter, queue: str, again: bool) -> str | None:
    """Say why a letter is not put back, or None."""
    this = f"--queue {queue} --id {letter.id}"
    if known.worker:
        return _runs(known.worker)
    if known.state == states.SUCCESS:
        return f"it has succeeded; take it off with: stalk dead-letters drop {this}"
    if known.revoked:
        return f"it was revoked and would not run; take it off with: stalk dead-letters drop {this}"
    if known.replayed and not again:
        return (
            f"a replay put it back at {known.replayed}, or was cut off just before; its copy may wait, run or have "
            f"ended (state {known.state}). {_if_none(this)}"
        )
    return None


def _reason_to_keep(known: Known, letter: DeadLetter, queue: str) -> str | None:
    """Say why a letter is not thrown away, or None."""
    if known.worker:
        return _runs(known.worker)
    # A replay sets PENDING before it publishes: any other state is the copy's, but where it was cut off in between.
    if known.replayed and known.state != states.PENDING and not known.ended:
        return (
            f"a replay put it back at {known.replayed}, and its copy has begun (state {known.state}). "
            f"{_if_none(f'--queue {queue} --id {letter.id}')}"
        )
    return None


def _if_none(this: str) -> str:
    return f"If there is none: stalk dead-letters replay {this} --again"


def _runs(worker: str) -> str:
    return f"it runs on {worker}, or did within {LEASE_SECONDS} s; run this again when it has ended"


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise Problem("add --yes: there is no terminal to ask")
    return input(question).strip().lower() in {"y", "yes"}
