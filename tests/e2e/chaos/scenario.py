"""One scenario: a steady load, faults, and at the end the judgement, which becomes a row of the report."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest

from charting.rendering import merged
from e2e.chaos.faults import delete_pod, gone
from e2e.chaos.judge import Killed, Run, Window, judge, judge_answers, runs_of
from e2e.chaos.ledger import Ledger
from e2e.chaos.load import SteadyLoad
from e2e.chaos.node import Nodes, NotAllowed
from e2e.chaos.report import Report, Row
from e2e.harness import Release, of_this_cluster, until

__all__ = ["BASE", "Chaos", "Scenario"]

BASE: Mapping[str, Any] = {"extraEnv": {"LEDGER": "true"}}
"""What every scenario adds to the chart's defaults."""
SETTLE_SECONDS = 420
RECOVERY_SECONDS = 420
ENDING_SECONDS = 60
"""For a run that nobody waits for any more: its message is done with."""
SLACK_SECONDS = 1.0
"""Between the clock that says when somebody was killed, and the worker's."""


@dataclass
class Scenario:
    """What the body of a scenario works with."""

    release: Release
    ledger: Ledger
    load: SteadyLoad
    row: Row
    killed: Killed = field(default_factory=Killed)
    dead: set[str] = field(default_factory=set)
    """Ids that belong into the dead-letter queue."""
    windows: list[Window] = field(default_factory=list)
    deleted: list[tuple[str, str]] = field(default_factory=list)
    """Name and UID of pods that a fault has deleted."""

    def submit(self, countdown: int = 0, **order: Any) -> str:
        """Submit a task beside the load and return its id."""
        answer = self.load.submit(countdown=countdown, **order)
        assert answer.accepted, answer.text
        return answer.task_id

    def runs(self, task_id: str) -> list[Run]:
        return runs_of(self.ledger.read([task_id])[task_id])

    def running(self, task_id: str) -> Run:
        """Wait until a task runs, and return that run."""

        def now() -> Run | None:
            runs = self.runs(task_id)
            return runs[-1] if runs and runs[-1].interrupted else None

        run: Run = until(now)
        return run

    def state(self, task_id: str) -> str:
        """Return what the API says of a task."""
        answer = self.load.read(task_id)
        assert answer.right, f"{answer.status}: {answer.text}"
        return str(json.loads(answer.text)["status"])

    def executed(self, ids: list[str]) -> int:
        """Return how many of these have come to their end."""
        return sum(any(run.executed for run in runs_of(records)) for records in self.ledger.read(ids).values())

    def more_accepted(self, number: int) -> None:
        """Wait until so many more tasks were accepted."""
        before = len(self.load.accepted())
        until(lambda: len(self.load.accepted()) >= before + number)

    def killing(self, host: str, pid: int | None = None, at: float | None = None) -> float:
        """Say that what runs there now, or ran at a time since the epoch, is stopped in the middle; return when."""
        at = time.time() if at is None else at
        self.killed.add(host, pid, at + SLACK_SECONDS)
        return at

    def again(self, task_id: str, at: float) -> None:
        """Wait until a task that was killed at that time was executed by another run, and note how long it waited."""
        until(lambda: (runs := self.runs(task_id))[-1].executed and len(runs) > 1, 300)
        self.note(f"the killed task began again after {self.runs(task_id)[1].started - at:.1f} s")

    def delete(self, pod: str) -> None:
        """Delete a pod as an eviction does; its fault has left no trace before that very pod is gone."""
        self.deleted.append((pod, delete_pod(self.release, pod)))

    def note(self, text: str) -> None:
        """Put a line under the report's table."""
        self.row.notes.append(text)

    def expect(self, condition: object, otherwise: str) -> None:
        """Say what is wrong, unless a condition holds, and go on."""
        if not condition:
            self.row.problems.append(otherwise)

    @contextmanager
    def fault(self, recovers: bool = True) -> Iterator[None]:
        """Mark when a fault is on; afterwards wait until the system has recovered, and note how long it took.

        It has when a task was executed that was accepted after the end, and after the pods that were deleted had gone.
        """
        begin = time.monotonic()
        self.windows.append(Window(begin, math.inf))
        yield
        end = time.monotonic()
        until(lambda: all(gone(self.release, *each) for each in self.deleted), RECOVERY_SECONDS)
        if recovers:
            since = time.monotonic()
            if not self.load.steady:
                until(lambda: self.load.submit().accepted)
            until(lambda: self.executed(self.load.accepted(since=since)[:20]), RECOVERY_SECONDS)
            self.row.recovery.append(time.monotonic() - end)
        self.windows[-1] = Window(begin, time.monotonic())

    @contextmanager
    def recovering(self) -> Iterator[None]:
        """Note how long it takes from the moment that workers may come until all is done."""
        begin = time.monotonic()
        yield
        self.row.recovery.append(time.monotonic() - begin)

    def backlog(self, queue: str = "test-queue") -> int:
        """Return the ready and the unacknowledged messages of a queue."""
        listed = self.release.kubectl(
            *("exec", f"{self.release.fullname}-rabbitmq-0", "-c", "rabbitmq", "--"),
            *("rabbitmqctl", "list_queues", "-q", "--no-table-headers", "name", "messages"),
            check=False,
        )
        counts = dict(line.split("\t") for line in listed.splitlines() if line.count("\t") == 1)
        return int(counts.get(queue, "-1"))

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until every task was executed, nothing is queued, and nobody runs anything; or say what is left."""
        ids = [task_id for task_id in self.load.accepted() if task_id not in self.dead]
        waits, runs = list(ids), list(ids)

        def executed() -> bool:
            found = self.ledger.read(waits)
            waits[:] = [each for each in waits if not any(run.executed for run in runs_of(found[each]))]
            return not waits

        def quiet() -> bool:
            found = self.ledger.read(runs)
            runs[:] = [each for each in runs if any(map(self._open, runs_of(found[each])))]
            return not runs

        try:
            until(executed, seconds)
            until(lambda: self.backlog() == 0, seconds)
            until(quiet, min(seconds, ENDING_SECONDS))
        except AssertionError:
            self.row.problems.append(
                f"not quiet in time: {len(waits)} tasks wait, {len(runs)} run or were interrupted, "
                f"{self.backlog()} messages are queued"
            )

    def _open(self, run: Run) -> bool:
        return run.interrupted and not self.killed.has(run)

    def judge(self, refuses: bool = False, silent: bool = False, hangs: bool = False) -> None:
        """Fill the row."""
        found = judge(self.ledger.read(self.load.accepted()), self.killed, self.dead)
        answers = [*self.load.answers, *self.load.reads]
        self.row.answers, self.row.judgement = answers, found
        wrong = judge_answers(answers, self.windows, refuses, silent, hangs)
        self.row.problems += [*found.problems, *wrong, *self.load.problems()]


@dataclass
class Chaos:
    """The release that scenarios share, and the report."""

    release: Release
    report: Report
    nodes: Nodes

    def bring(self, values: Mapping[str, Any]) -> None:
        """Install or upgrade the release, unless it has these values already."""
        if self.release.values != merged(of_this_cluster(), BASE, values):
            self.release.install(BASE, values)
            # A worker of the scenario before has that one's grace period, and may not outlast this one's fault.
            until(lambda: not self.leaving(), SETTLE_SECONDS)

    def has_workers(self, number: int) -> None:
        """Wait until so many workers are there, nobody wants another number, and the others are gone."""
        until(lambda: self.release.worker().spec.replicas == number == self.release.replicas(), 240)

    def leaving(self) -> set[str]:
        """Return the workers that were told to stop and are still there."""
        return {str(pod.metadata.name) for pod in self.release.pods("worker") if pod.metadata.deletion_timestamp}

    def not_run(self, title: str, why: str) -> NoReturn:
        """Say loudly that a scenario cannot run here."""
        self.report.add(Row(title, not_run=why))
        pytest.skip(why)

    @contextmanager
    def scenario(
        self,
        title: str,
        values: Mapping[str, Any] | None = None,
        refuses: bool = False,
        silent: bool = False,
        hangs: bool = False,
        steady: bool = True,
    ) -> Iterator[Scenario]:
        """Run a scenario and judge it; a row is written whatever happens.

        Args:
            title: the row's name.
            values: beside the chart's defaults.
            refuses: a fault takes a dependency away: 503 with Retry-After is right meanwhile.
            silent: a fault takes the API, or the way to it, away: no answer can be expected meanwhile.
            hangs: a request may hang meanwhile: nothing comes through the way to the API.
            steady: with a steady load; not where workers are to go to zero.
        """
        row = Row(title, values or {}, steady=steady)
        with closing(Ledger(self.release)) as ledger, self.report.written(row):
            try:
                self.bring(values or {})
                with SteadyLoad(self.release, steady) as load:
                    running = Scenario(self.release, ledger, load, row)
                    until(load.ready)
                    try:
                        if steady:
                            until(lambda: running.executed(load.accepted()[:20]) >= 5)
                        yield running
                        load.stop()
                        running.settle()
                    except (AssertionError, NotAllowed) as error:
                        load.stop()
                        running.settle(SETTLE_SECONDS if isinstance(error, NotAllowed) else ENDING_SECONDS)
                        raise
                    finally:
                        running.judge(refuses, silent, hangs)
            except NotAllowed as error:
                row.not_run = str(error)
            except BaseException as error:
                row.problems.append(f"the scenario did not come to its end: {type(error).__name__}: {str(error)[:500]}")
                raise
        if row.problems:  # also those of a scenario that was not allowed to go on
            pytest.fail("\n".join(row.problems[:20]), pytrace=False)
        if row.not_run:
            pytest.skip(row.not_run)
