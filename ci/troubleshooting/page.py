"""docs/troubleshooting.md, from the catalogue of `stalk doctor`."""

from collections.abc import Iterator
from pathlib import Path

from stalk.doctor.catalogue import CATALOGUE, LINKS

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def page() -> str:
    """Return the page's text."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "<!-- Written by `python ci/troubleshooting generate` from src/stalk/doctor/catalogue.py. -->"
    yield "# Troubleshooting"
    yield ""
    yield "What [`stalk doctor`](doctor.md) can find, in the order of a task's way. It prints the same words, with what"
    yield "it saw and the line that mends it."
    for link in LINKS:
        yield ""
        yield f"## {link}"
        yield ""
        yield "| what you see | why | id |"
        yield "|---|---|---|"
        for name, kind in CATALOGUE.items():
            if kind.link == link:
                yield f"| {_cell(kind.symptom)} | {_cell(kind.cause)} | `{name}` |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
