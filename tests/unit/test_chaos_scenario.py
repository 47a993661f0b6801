"""A chaos scenario from its begin to its row: what is left over, what recovers, and what wins."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kubernetes.client.exceptions import ApiException

from app.ledger import Record
from e2e.chaos import scenario as module
from e2e.chaos.judge import Answer
from e2e.chaos.ledger import Ledger
from e2e.chaos.load import SteadyLoad
from e2e.chaos.node import Nodes, NotAllowed
from e2e.chaos.report import Report, Row
from e2e.chaos.scenario import Chaos, Scenario
from e2e.harness import Release

ONCE = [Record("start", "r1", "pod-a", 7, 1), Record("end", "r1", "pod-a", 7, 2)]
AGAIN = [Record("start", "r1", "pod-a", 7, 1), Record("start", "r2", "pod-b", 7, 6), Record("end", "r2", "pod-b", 7, 7)]


class Book:
    """A ledger."""

    def __init__(self, records: dict[str, Sequence[Record]]) -> None:
        self.records = records

    def read(self, ids: Iterable[str]) -> dict[str, Sequence[Record]]:
        return {each: self.records.get(each, []) for each in ids}

    def close(self) -> None:
        pass


class Load:
    """A load that every submission of is accepted and executed."""

    steady = False

    def __init__(self, book: Book, ids: Iterable[str] = ()) -> None:
        self.book = book
        self.answers = [Answer(1, 202, each) for each in ids]
        self.reads: list[Answer] = []
        self.stopped = False

    def submit(self, *_: Any, **__: Any) -> Answer:
        self.answers.append(Answer(time.monotonic(), 202, f"new-{len(self.answers)}"))
        self.book.records[self.answers[-1].task_id] = ONCE
        return self.answers[-1]

    def read(self, task_id: str) -> Answer:
        known = task_id in self.book.records
        self.reads.append(Answer(1, 200 if known else 404, text='{"status": "RETRY"}', reads=True))
        return self.reads[-1]

    def accepted(self, since: float = 0) -> list[str]:
        return [answer.task_id for answer in self.answers if answer.at >= since]

    def ready(self) -> bool:
        return True

    def stop(self) -> None:
        self.stopped = True

    def problems(self) -> list[str]:
        return [] if self.stopped else ["the load goes on"]

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Cluster:
    """A release with so many messages queued, whose pod goes after a few looks."""

    fullname = "stalk"

    def __init__(self, queued: int = 0) -> None:
        self.queued = queued
        self.looks = 0

    def kubectl(self, *_: str, **__: Any) -> str:
        return f"celery\t9\ntest-queue\t{self.queued}\n"

    def pod(self, _: str) -> Any:
        self.looks += 1
        if self.looks > 3:
            raise ApiException(404)
        return SimpleNamespace(metadata=SimpleNamespace(uid="u1"))


def scenario_of(records: dict[str, Sequence[Record]], queued: int = 0) -> Scenario:
    book = Book(records)
    load = Load(book, records)
    return Scenario(cast("Release", Cluster(queued)), cast("Ledger", book), cast("SteadyLoad", load), Row("scenario"))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SETTLE_SECONDS", "ENDING_SECONDS"):
        monkeypatch.setattr(module, name, 0.1)


def test_settled_scenario_has_no_problem() -> None:
    scenario = scenario_of({"a": ONCE})
    scenario.settle(0)
    assert scenario.row.problems == []


@pytest.mark.parametrize(
    ("records", "queued", "left"),
    [
        ([], 0, "1 tasks wait, 1 run or were interrupted, 0 messages"),
        (ONCE, 1, "0 tasks wait, 1 run or were interrupted, 1 messages"),
        (AGAIN, 0, "0 tasks wait, 1 run or were interrupted, 0 messages"),
    ],
)
def test_what_is_left_over_is_a_problem(records: list[Record], queued: int, left: str) -> None:
    scenario = scenario_of({"a": records}, queued)
    scenario.settle(0)
    [problem] = scenario.row.problems
    assert problem.startswith("not quiet in time: ")
    assert left in problem or queued  # what runs was not looked at while messages were queued


def test_fault_is_over_when_the_deleted_pod_is_gone() -> None:
    scenario = scenario_of({})
    with scenario.fault():
        scenario.delete("redis-0")
        assert scenario.deleted == [("redis-0", "u1")]
    assert cast("Cluster", scenario.release).looks == 4
    [answer] = scenario.load.answers
    assert answer.at > scenario.windows[0].begin
    assert scenario.row.recovery[0] >= 1  # two more looks


def test_killed_task_says_how_long_it_waited() -> None:
    scenario = scenario_of({"a": AGAIN})
    assert scenario.killing("pod-a", at=2.5) == 2.5
    scenario.again("a", 2.5)
    assert scenario.row.notes == ["the killed task began again after 3.5 s"]
    scenario.settle(0)
    scenario.load.stop()
    scenario.judge()
    assert scenario.row.problems == []


def test_state_is_what_the_api_says_and_is_judged_as_well() -> None:
    scenario = scenario_of({"a": ONCE})
    assert scenario.state("a") == "RETRY"
    with pytest.raises(AssertionError, match="404"):
        scenario.state("b")
    scenario.load.stop()
    scenario.judge()
    assert scenario.row.problems == ['1 times 404 to a reader: {"status": "RETRY"}']


@pytest.fixture
def chaos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chaos:
    book = Book({})
    monkeypatch.setattr(module, "Ledger", lambda _: book)
    monkeypatch.setattr(module, "SteadyLoad", lambda *_: Load(book))
    monkeypatch.setattr(Chaos, "bring", lambda *_: None)
    return Chaos(cast("Release", Cluster()), Report(tmp_path / "chaos.md"), cast("Nodes", None))


def forbidden(chaos: Chaos, loses: bool) -> None:
    """Run a scenario that goes so far, and no farther."""
    with chaos.scenario("one", steady=False) as scenario:
        task_id = scenario.submit()
        if loses:
            cast("Book", scenario.ledger).records.pop(task_id)
        raise NotAllowed("no right")


def test_scenario_that_is_not_allowed_is_skipped(chaos: Chaos) -> None:
    with pytest.raises(pytest.skip.Exception, match="no right"):
        forbidden(chaos, loses=False)
    [row] = chaos.report.rows
    assert row.verdict == "**not run**: no right"


def test_lost_task_of_a_scenario_that_is_not_allowed_to_go_on_is_a_failure(chaos: Chaos) -> None:
    outcomes = (pytest.fail.Exception, pytest.skip.Exception)  # a skip that got through would skip this test
    with pytest.raises(outcomes, match="accepted and never executed"):
        forbidden(chaos, loses=True)
    [row] = chaos.report.rows
    assert row.verdict.startswith("**failed**")
