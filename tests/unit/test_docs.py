"""The documents show what their commands print."""

import json
from pathlib import Path

import pytest

from bench._planned import BUSY, ERRORS, ROUGHLY, STEPS, Measured, compare, print_errors
from docs import BLOCK, DOCS, generated
from docs.picture import DATA, PICTURE, source

FILES = sorted(file for file in DOCS.glob("*.md") if BLOCK.search(file.read_text(encoding="utf-8")))


def test_there_are_some() -> None:
    assert {"planning.md", "scale.md"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_output_is_what_the_commands_print(file: object) -> None:
    """`python ci/docs` brings it up to date."""
    text = (DOCS / str(file)).read_text(encoding="utf-8")
    assert generated(text) == text


def test_picture_of_a_real_run_is_of_the_data_that_is_kept() -> None:
    """`python ci/docs` draws it anew."""
    assert source() in PICTURE.read_text(encoding="utf-8")


def test_what_is_said_of_that_run_is_so() -> None:
    measured = json.loads(DATA.read_text(encoding="utf-8"))
    looks = measured["burst"]["looks"]
    page = " ".join((DOCS / "scaling.md").read_text(encoding="utf-8").split())

    def first(pods: int, after: float = 0) -> int:
        return round(next(float(seconds) for seconds, _, number in looks if number == pods and seconds > after))

    backlog = next(waiting for _, waiting, number in looks if number == 4)
    drained = round(measured["burst"]["drained"])
    assert f"{measured['tasks']} tasks of {measured['task_seconds']} s at once" in page
    assert f"KEDA's look came after {first(1)} s" in page
    assert f"The HPA's came after {first(4)} s and found {backlog} messages" in page
    assert f"After {drained} s the last task had ended" in page
    assert f"six after {first(6)}, none after {first(0, after=drained)}]" in page


def percent(part: float) -> str:
    return f"{abs(part) * 100:.0f} %"


def words(file: Path) -> str:
    return " ".join(file.read_text(encoding="utf-8").split())


def test_how_far_off_a_plan_is_is_said_of_the_runs_that_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    measured, second = (
        Measured.from_json(json.loads(file.read_text(encoding="utf-8")))
        for file in (DATA, DATA.with_name("scaling-at-once.json"))
    )
    print_errors(measured)
    table = capsys.readouterr().out.strip().partition("\n")[2]
    assert table in (DOCS / "planning.md").read_text(encoding="utf-8")
    drained, busy, _ = compare(measured)
    readme = words(DOCS.parent / "README.md")
    assert f"{measured.tasks} tasks of {measured.task_seconds} s with at most {measured.most} pods" in readme
    assert f"{drained.measured:.0f} s and {busy.measured:.0f} pod-seconds with KEDA, in the run that" in readme
    off = f"off by {percent(drained.error)} in drain time and {percent(busy.error)} in pod-seconds"
    assert STEPS == 2
    assert "told by the first two steps of that run's pods" in readme
    assert off in readme
    first, then, at_last = (percent(each.error) for each in compare(second))
    assert f"off by {first}, {then} and {at_last}." in words(DOCS / "planning.md")


def test_limits_of_a_plan_are_those_that_the_tests_hold() -> None:
    page = words(DOCS / "planning.md")
    drained, busy, rest = (percent(limit) for limit in ERRORS.values())
    assert drained == busy
    assert f"at most {drained} off in drain time and in pod-seconds until drained, and {rest} in" in page
    drained, busy, rest = (percent(limit + BUSY) for limit in ERRORS.values())
    assert f"these limits are {drained}, {busy} and {rest}, and {1 + ROUGHLY + BUSY:g} times p95" in page
    assert f"between {1 - ROUGHLY:g} times the plan's p5 and {1 + ROUGHLY:g} times its p95" in page
