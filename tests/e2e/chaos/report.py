"""The table of a chaos run, written anew after every scenario: a run that fails or is stopped leaves its rows."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.chaos.judge import Answer, Judgement

__all__ = ["FILE", "SOME", "Report", "Row", "differing", "file_of"]

FILE = Path(__file__).parents[3] / "reports" / "chaos.md"
SOME = FILE.with_name("chaos-some.md")
"""For a run of some scenarios, which says nothing of the others."""
SUITE = Path(__file__).parent


def file_of(running: Iterable[Path], left_out: bool, words: Iterable[str]) -> Path:
    """Return where the report of a run goes: that of all scenarios is not replaced by one of some.

    Args:
        running: the files of the tests that run.
        left_out: a scenario was deselected.
        words: what pytest was told to collect.
    """
    whole = set(SUITE.glob("test_*.py")) <= set(running) and not left_out and not any("::" in word for word in words)
    return FILE if whole else SOME


HEADER = """# Chaos report

{facts}

Each row is a scenario. The API takes a steady load of short tasks meanwhile, unless the row says that there is none,
and once a second somebody *reads* how far one is. *Executed* counts accepted ids by how often their task came to its
end; an *interrupted* run began and did not end. *No answer* is a request for which no API pod was ready, or whose
connection broke. *Recovery* is the time from the end of the fault, or from the kill, until a task that was accepted
after it has ended; at zero workers, from the moment that workers may come until all is done.

A scenario passes when every accepted task was executed (but for those that belong into the dead-letter queue), a run
was interrupted or repeated only where the scenario itself stopped the process in the middle of it, and the API answered
nothing but what was asked for, or soon 503 with Retry-After while a dependency was down.

"""

COLUMNS = (
    "scenario",
    "values beside the chart's defaults",
    "requests",
    "accepted",
    "reads",
    "503",
    "other 5xx",
    "no answer",
    "slowest answer, s",
    "executed once",
    "more",
    "never",
    "dead letters",
    "interrupted runs",
    "recovery, s",
    "verdict",
)


@dataclass
class Row:
    """One scenario's line, and what was wrong with it."""

    scenario: str
    values: Mapping[str, Any] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    judgement: Judgement = field(default_factory=Judgement)
    recovery: list[float] = field(default_factory=list)
    """Seconds, for each fault of the scenario."""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    not_run: str = ""
    """Why it could not run here, or not to its end."""
    steady: bool = True
    """With the steady load."""

    @property
    def verdict(self) -> str:
        if self.problems:
            return f"**failed**, problems: {len(self.problems)}"
        return f"**not run**: {self.not_run}" if self.not_run else "passed"

    @property
    def name(self) -> str:
        return self.scenario if self.steady or self.not_run else f"{self.scenario} (no steady load)"

    def cells(self) -> list[str]:
        answers, judged = self.answers, self.judgement
        if self.not_run and not self.problems:
            return [self.name, differing(self.values), *[""] * (len(COLUMNS) - 3), self.verdict]
        numbers = [
            sum(not answer.reads for answer in answers),
            judged.accepted,
            sum(answer.reads for answer in answers),
            sum(answer.status == 503 for answer in answers),
            sum(answer.status >= 500 and answer.status != 503 for answer in answers),
            sum(answer.status == 0 for answer in answers),
            f"{max((answer.seconds for answer in answers if answer.status), default=0):.1f}",
            judged.once,
            judged.more,
            judged.never,
            judged.dead,
            judged.interrupted,
        ]
        recovery = ", ".join(f"{seconds:.1f}" for seconds in self.recovery)
        return [self.name, differing(self.values), *map(str, numbers), recovery, self.verdict]


def differing(values: Mapping[str, Any]) -> str:
    """Return values as one line a cell can hold: `a.b=1 c=[…]`."""
    lines = []

    def walk(path: str, value: object) -> None:
        if isinstance(value, Mapping) and value:
            for name, inner in value.items():
                walk(f"{path}.{name}" if path else str(name), inner)
        else:
            lines.append(f"`{path}={value if isinstance(value, str) else json.dumps(value)}`")

    walk("", values)
    return " ".join(lines) if values else ""


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |"


@dataclass
class Report:
    """The rows so far, in a file.

    Args:
        facts: what was tested, a line each.
    """

    file: Path
    facts: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Add a row and write the file."""
        self.rows.append(row)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(self.text(), encoding="utf-8")

    @contextmanager
    def written(self, row: Row) -> Iterator[None]:
        """Add a row at the end, however that comes."""
        try:
            yield
        finally:
            self.add(row)

    def text(self) -> str:
        table = [_line(list(COLUMNS)), _line(["---", "---", *["---:"] * (len(COLUMNS) - 3), "---"])]
        table += [_line(row.cells()) for row in self.rows]
        more = []
        for row in self.rows:
            broken_off = [f"not run to its end: {row.not_run}"] if row.not_run and row.problems else []
            said = [*row.notes, *broken_off, *row.problems]
            if said:
                more += ["", f"## {row.scenario}", "", *(f"- {line.replace(chr(10), ' ')}" for line in said)]
        passed = sum(row.verdict == "passed" for row in self.rows)
        failed = sum(bool(row.problems) for row in self.rows)
        not_run = len(self.rows) - passed - failed
        total = f"{len(self.rows)} scenarios: {passed} passed, {failed} failed, {not_run} not run."
        head = HEADER.format(facts="\n".join(f"- {fact}" for fact in self.facts))
        return "\n".join([head + total, "", *table, *more]) + "\n"
