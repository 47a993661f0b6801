"""CHANGELOG.md, in the form of https://keepachangelog.com: its sections, and their bullets as Artifact Hub wants them.

The newest section is the version that the working tree is. Its heading says `Unreleased` until the day of the release.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["KINDS", "Change", "Section", "sections"]

KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
"""Headings within a section, and `kind` of https://artifacthub.io/docs/topics/annotations/helm/."""

_SECTION = re.compile(r"^## \[([^\]]+)\](?: - (\S+))?\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_KIND = re.compile(r"^### (\w+)\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
_BULLET = re.compile(r"^- (.*?)(?=^- |\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Change:
    """One bullet."""

    kind: str
    """One of `KINDS`."""
    description: str
    """Plain text in one line."""
    links: tuple[tuple[str, str], ...]
    """Name and target, as written: relative to the repository's root, or a URL."""


@dataclass(frozen=True)
class Section:
    """One version."""

    version: str
    date: str
    """Of the release, or `Unreleased`."""
    text: str
    """Markdown below the heading."""

    @property
    def is_released(self) -> bool:
        """Whether the heading has a day."""
        return _DATE.fullmatch(self.date) is not None

    def changes(self) -> Iterator[Change]:
        """Yield the bullets.

        Raises:
            ValueError: a heading is none of `KINDS`.
        """
        for kind, body in _KIND.findall(self.text):
            if kind.lower() not in KINDS:
                raise ValueError(f"CHANGELOG.md, {self.version}: ### {kind} is none of {', '.join(KINDS)}")
            for bullet in _BULLET.findall(body):
                yield _change(kind.lower(), " ".join(bullet.split()))


def sections(text: str) -> list[Section]:
    """Return the sections of a changelog, newest first."""
    return [Section(version, date, body.strip()) for version, date, body in _SECTION.findall(text)]


def _change(kind: str, bullet: str) -> Change:
    links = tuple((name.replace("`", ""), target) for name, target in _LINK.findall(bullet))
    # A path that is its own name says nothing without the link.
    text = _LINK.sub(lambda found: "" if found[1] == found[2] else found[1], bullet).replace("`", "")
    return Change(kind, " ".join(text.split()), links)
