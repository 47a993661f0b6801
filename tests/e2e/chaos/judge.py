"""What the ledger says of a scenario's tasks, and whether that is what was promised. Nothing here talks to anybody."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

from app.ledger import Record

__all__ = ["Answer", "Judgement", "Killed", "Run", "Silence", "Window", "judge", "judge_answers", "runs_of"]

ACKNOWLEDGED_SECONDS = 3
"""Between the end of a run and the broker's knowing of it; for a kill in between, the task runs again."""
SLOW_SECONDS = 8
"""The API says within 5 s that a dependency is down; the rest is for a busy machine."""


@dataclass(frozen=True)
class Run:
    """One time that a task's code began. Times are those of the worker's clock, in seconds since the epoch."""

    run: str
    host: str
    pid: int
    started: float
    ended: float = 0
    """When it ended, by itself or by asking for a retry; 0 for one that did not."""
    executed: bool = False
    """It came to its end."""
    retried: bool = False
    """It ended by asking for another run."""

    @property
    def interrupted(self) -> bool:
        """It began, and never said that it ended: killed, or given back."""
        return not (self.executed or self.retried)

    def __str__(self) -> str:
        how = "ended" if self.executed else "asked for a retry" if self.retried else "did not end"
        return f"on {self.host} pid {self.pid}, {how}"


def runs_of(records: Iterable[Record]) -> list[Run]:
    """Return the runs of one task, the earliest first; a record that stands twice counts once."""
    found: dict[str, dict[str, Record]] = {}
    for record in records:
        found.setdefault(record.run, {}).setdefault(record.event, record)
    runs = []
    for run, events in found.items():
        first = min(events.values(), key=lambda record: record.at)
        last = events.get("end") or events.get("retry")
        runs.append(
            Run(
                run,
                first.host,
                first.pid,
                started=first.at,
                ended=0 if last is None else last.at,
                executed="end" in events,
                retried="retry" in events,
            )
        )
    return sorted(runs, key=lambda run: run.started)


@dataclass
class Killed:
    """Where the scenario itself stopped tasks in the middle, and when."""

    where: dict[tuple[str, int | None], float] = field(default_factory=dict)
    """By host and pid, where no pid stands for every process of the host: seconds since the epoch."""

    def add(self, host: str, pid: int | None = None, at: float = math.inf) -> None:
        self.where[host, pid] = at

    def has(self, run: Run) -> bool:
        """Tell whether a run was under way then, or had ended so shortly before that the broker may not know of it.

        A restarted container has the same host name, and maybe the same pids; and what it had ended long before,
        nobody may run again.
        """
        kills = [self.where.get((run.host, pid), -math.inf) for pid in (run.pid, None)]
        return any(run.started <= at and (not run.ended or run.ended >= at - ACKNOWLEDGED_SECONDS) for at in kills)


@dataclass
class Judgement:
    """The counts of a scenario, and what is against the rules."""

    accepted: int = 0
    once: int = 0
    more: int = 0
    never: int = 0
    dead: int = 0
    """Expected in the dead-letter queue."""
    interrupted: int = 0
    """Runs that did not end."""
    problems: list[str] = field(default_factory=list)


def judge(ledger: Mapping[str, Sequence[Record]], killed: Killed, dead: Set[str] = frozenset()) -> Judgement:
    """Judge the tasks that the API has accepted.

    - Each one is executed at least once; those of `dead`, which no worker survives, never.
    - A second run, and a run that did not end, is only there where the scenario killed the run before, or that run.
    - No task asks for a retry more than once, so a second retry is a second run of the same kind.

    Args:
        ledger: the records of every accepted id, none for an id that nobody has heard of.
        killed: what the scenario stopped in the middle of a task.
        dead: ids that belong into the dead-letter queue.
    """
    found = Judgement(accepted=len(ledger))
    for task_id, records in ledger.items():
        runs = runs_of(records)
        ends = [run for run in runs if run.executed]
        retries = [run for run in runs if run.retried]
        unended = [run for run in runs if run.interrupted]
        found.interrupted += len(unended)
        found.once += len(ends) == 1
        found.more += len(ends) > 1
        told = f"{task_id} ({'; '.join(map(str, runs)) or 'no run'})"
        if task_id in dead:
            found.dead += 1
            if ends:
                found.problems.append(f"executed, though no worker can survive it: {told}")
            continue
        if not ends:
            found.never += 1
            found.problems.append(f"accepted and never executed: {told}")
        if not all(killed.has(run) for run in ends[:-1]):
            found.problems.append(f"executed {len(ends)} times, though nobody killed the first run: {told}")
        if not all(killed.has(run) for run in retries[:-1]):
            found.problems.append(f"asked {len(retries)} times for its one retry, though nobody killed it: {told}")
        if not all(killed.has(run) for run in unended):
            found.problems.append(f"interrupted, though nobody killed it: {told}")
    return found


Silence = Literal["no endpoint", "not connected", "cut", "timeout"]
"""Why there was no answer: no pod was ready; none was reached; the connection broke, or its pod went; or it hung."""


@dataclass(frozen=True)
class Answer:
    """What the API said to one request."""

    at: float
    """When it was asked, by the monotonic clock of the suite."""
    status: int
    """HTTP status; 0 for no answer at all."""
    task_id: str = ""
    """The id, when a task is accepted."""
    retry_after: bool = False
    text: str = ""
    """What came instead of an id."""
    seconds: float = 0
    """How long it took."""
    silence: Silence | None = None
    """Why there is no answer."""
    reads: bool = False
    """It asked for a task that was accepted, and submitted none."""

    @property
    def accepted(self) -> bool:
        return bool(self.task_id)

    @property
    def right(self) -> bool:
        """It is what was asked for."""
        return self.status == 200 if self.reads else self.accepted


@dataclass(frozen=True)
class Window:
    """When a scenario's fault may be noticed: from its begin until it is over and the system has recovered."""

    begin: float
    end: float

    def has(self, at: float) -> bool:
        # A request that was asked shortly before may meet the fault: the longest wait of the client is 15 s.
        return self.begin - 15 <= at <= self.end


def judge_answers(
    answers: Sequence[Answer], windows: Sequence[Window], refuses: bool, silent: bool, hangs: bool = False
) -> list[str]:
    """Return what was wrong with the API's answers, once for each kind.

    A request that hangs is always wrong, for the API itself has to say soon what is down.

    Args:
        answers: all of them.
        windows: when faults were on.
        refuses: a fault takes a dependency away: then 503 with Retry-After is right, and soon.
        silent: a fault takes the API away, or the way to it: then no answer can be.
        hangs: a fault lets that way hang, and the API can do nothing about it.
    """
    wrong: Counter[str] = Counter()
    for answer in answers:
        inside = any(window.has(answer.at) for window in windows)
        if answer.right:
            continue
        if answer.status == 0 and silent and inside and (answer.silence != "timeout" or hangs):
            continue
        if answer.status == 503 and refuses and inside:
            if not answer.retry_after:
                wrong["503 without Retry-After"] += 1
            if answer.seconds > SLOW_SECONDS:
                wrong[f"503 only after more than {SLOW_SECONDS} s"] += 1
            continue
        when = "" if inside or not windows else " when nothing was wrong any more, or yet"
        if answer.silence:
            what = f"no answer ({answer.silence})"
        elif answer.status == 202 and not answer.reads:
            what = "202 without an id"
        else:
            what = f"{answer.status}"
        wrong[f"{what}{' to a reader' if answer.reads else ''}{when}: {answer.text[:200]}"] += 1
    return [f"{number} times {what}" for what, number in wrong.items()]
