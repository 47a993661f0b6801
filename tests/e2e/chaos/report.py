"""The table of a chaos run, written anew after every scenario: a run that fails or is stopped leaves its rows."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.chaos.judge import Answer, Judgement

__all__ = ["FILE", "Report", "Row", "differing"]

FILE = Path(__file__).parents[3] / "reports" / "chaos.md"

HEADER = """# Chaos report

{facts}

Each row is a scenario, run while the API takes a steady load of short tasks, or at zero workers where its name says so.
*Executed* counts accepted ids by how often their task came to its end; an *interrupted* run began and did not end.
*No answer* is a request for which no API pod was ready, or whose connection broke. *Recovery* is the time from the end
of the fault, or from the kill, until a task that was accepted after it has ended.

A scenario passes when every accepted task was executed (but for those that belong into the dead-letter queue), a run
was interrupted or repeated only where the scenario itself stopped the process in the middle of it, and the API answered
nothing but 202, or 503 with Retry-After while a dependency was down.

"""

COLUMNS = (
    "scenario",
    "values beside the chart's defaults",
    "requests",
    "accepted",
    "503",
    "other 5xx",
    "no answer",
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
    """Why it could not run here."""

    @property
    def verdict(self) -> str:
        if self.not_run:
            return f"**not run**: {self.not_run}"
        return f"**failed**, problems: {len(self.problems)}" if self.problems else "passed"

    def cells(self) -> list[str]:
        answers, judged = self.answers, self.judgement
        if self.not_run:
            return [self.scenario, differing(self.values), *[""] * (len(COLUMNS) - 3), self.verdict]
        numbers = [
            len(answers),
            judged.accepted,
            sum(answer.status == 503 for answer in answers),
            sum(answer.status >= 500 and answer.status != 503 for answer in answers),
            sum(answer.status == 0 for answer in answers),
            judged.once,
            judged.more,
            judged.never,
            judged.dead,
            judged.interrupted,
        ]
        recovery = ", ".join(f"{seconds:.1f}" for seconds in self.recovery)
        return [self.scenario, differing(self.values), *map(str, numbers), recovery, self.verdict]


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
            said = [*row.notes, *row.problems]
            if said:
                more += ["", f"## {row.scenario}", "", *(f"- {line.replace(chr(10), ' ')}" for line in said)]
        passed = sum(row.verdict == "passed" for row in self.rows)
        not_run = sum(bool(row.not_run) for row in self.rows)
        failed = len(self.rows) - passed - not_run
        total = f"{len(self.rows)} scenarios: {passed} passed, {failed} failed, {not_run} not run."
        head = HEADER.format(facts="\n".join(f"- {fact}" for fact in self.facts))
        return "\n".join([head + total, "", *table, *more]) + "\n"
