"""The documents show what their commands print."""

import json

import pytest

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
