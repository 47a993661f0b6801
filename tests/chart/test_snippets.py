"""Every command and every snippet of values in the documents, held against the chart and this repository."""

from collections.abc import Iterator

import pytest

from snippets.blocks import Block, pages
from snippets.rules import EXCEPTIONS, problems, shell_text
from snippets.shell import commands


def every() -> Iterator[Block]:
    for page in pages().values():
        yield from page.blocks


@pytest.mark.parametrize("block", list(every()), ids=lambda block: block.where)
def test_block(block: Block) -> None:
    found = list(problems(block, pages()[block.file]))
    assert not found, f"{block.where}:\n" + "\n".join(found)


@pytest.mark.parametrize("file", pages())
def test_running_text(file: str) -> None:
    page = pages()[file]
    found = [f"{span.where}: `{span.text}`: {problem}" for span in page.spans for problem in problems(span, page)]
    assert not found, "\n".join(found)


def test_exceptions_are_there_and_have_reasons() -> None:
    shells = [block for block in every() if block.language in {"", "sh"}]
    there = {(block.file, str(command)) for block in shells for command in commands(shell_text(block))}
    assert set(EXCEPTIONS) <= there
    assert all(len(reason) > 30 for reason in EXCEPTIONS.values())
