"""The chaos suite's report: what it says of a scenario, and that nothing breaks its table."""

from pathlib import Path

import pytest

from e2e.chaos.judge import Answer, Judgement
from e2e.chaos.report import COLUMNS, FILE, SOME, SUITE, Report, Row, differing, file_of

ANSWERS = [
    *(Answer(1, 202, "a", seconds=0.5), Answer(2, 503, retry_after=True, seconds=4.26)),
    *(Answer(3, 500), Answer(4, 0, seconds=15), Answer(5, 200, reads=True)),
]


def cells(report: Report, number: int = 0) -> list[str]:
    """Return the cells of a row of the table in the file."""
    lines = [line for line in report.file.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [cell.strip() for cell in lines[2 + number].strip("|").split("|")]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path / "reports" / "chaos.md", ["chart version: 1"])


def test_row_counts_each_kind_of_answer_and_task(report: Report) -> None:
    judgement = Judgement(accepted=1, once=4, more=5, never=6, dead=7, interrupted=8)
    report.add(Row("pod deleted", {"a": {"b": 1}}, ANSWERS, judgement, [1.26, 3]))
    assert cells(report) == [
        *("pod deleted", "`a.b=1`", "4", "1", "1", "1", "1", "1", "4.3"),
        *("4", "5", "6", "7", "8", "1.3, 3.0", "passed"),
    ]
    assert len(cells(report)) == len(COLUMNS)
    assert "- chart version: 1" in report.file.read_text(encoding="utf-8")


def test_verdict_says_failed_with_the_reasons_below(report: Report) -> None:
    report.add(Row("one", problems=["never\nexecuted"], notes=["slow"]))
    text = report.file.read_text(encoding="utf-8")
    assert cells(report)[-1] == "**failed**, problems: 1"
    assert "## one\n\n- slow\n- never executed\n" in text
    assert "1 scenarios: 0 passed, 1 failed, 0 not run." in text


def test_not_run_is_a_row_of_its_own_kind(report: Report) -> None:
    report.add(Row("one", not_run="no | right"))
    report.add(Row("two"))
    assert cells(report)[-1] == "**not run**: no / right"
    assert cells(report)[2:-1] == [""] * (len(COLUMNS) - 3)
    assert cells(report, 1)[-1] == "passed"
    assert "2 scenarios: 1 passed, 0 failed, 1 not run." in report.file.read_text(encoding="utf-8")


def test_problems_win_over_a_scenario_that_was_not_allowed_to_go_on(report: Report) -> None:
    report.add(Row("one", not_run="no right", problems=["never executed"]))
    assert cells(report)[-1] == "**failed**, problems: 1"
    assert cells(report)[2] == "0"
    text = report.file.read_text(encoding="utf-8")
    assert "## one\n\n- not run to its end: no right\n- never executed\n" in text
    assert "1 scenarios: 0 passed, 1 failed, 0 not run." in text


def test_row_says_where_there_is_no_load(report: Report) -> None:
    report.add(Row("one", steady=False))
    assert cells(report)[0] == "one (no steady load)"


def test_report_of_some_scenarios_does_not_replace_that_of_all() -> None:
    every = [*SUITE.glob("test_*.py"), SUITE.parent / "test_other.py"]
    assert file_of(every, left_out=False, words=["tests/e2e"]) == FILE
    assert file_of(every, left_out=True, words=["tests/e2e"]) == SOME
    assert file_of(every[1:], left_out=False, words=["tests/e2e/chaos/test_api.py"]) == SOME
    assert file_of(every, left_out=False, words=["tests/e2e/chaos/test_api.py::test_api_rolled"]) == SOME
    assert SOME != FILE


def test_row_is_written_when_the_scenario_breaks(report: Report) -> None:
    with pytest.raises(KeyError), report.written(Row("broken")):
        raise KeyError
    assert cells(report)[0] == "broken"


def test_values_are_told_by_path() -> None:
    assert differing({"a": {"b": "x", "c": {}}, "d": [1]}) == "`a.b=x` `a.c={}` `d=[1]`"
    assert differing({}) == ""
