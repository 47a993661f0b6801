"""The documents show what their commands print."""

import pytest

from docs import BLOCK, DOCS, generated

FILES = sorted(file for file in DOCS.glob("*.md") if BLOCK.search(file.read_text(encoding="utf-8")))


def test_there_are_some() -> None:
    assert {"planning.md", "scale.md"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_output_is_what_the_commands_print(file: object) -> None:
    """`python ci/docs` brings it up to date."""
    text = (DOCS / str(file)).read_text(encoding="utf-8")
    assert generated(text) == text
