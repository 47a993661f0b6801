"""Every piece of code in the documents: fenced and indented blocks, and commands in the running text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["ROOT", "Block", "Page", "documents", "pages"]

ROOT = Path(__file__).parents[2]
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """One piece of code.

    Args:
        file: relative to the repository.
        line: of its first line of code.
        language: of the fence; `` where it is indented, `inline` in the running text.
        text: the code, without the fence.
    """

    file: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def name(self) -> str | None:
        """The file that the code is, where its first line is a comment that names one: `# values.yaml`."""
        words = self.text.partition("\n")[0].split()
        named = len(words) == 2 and words[0] == "#" and (words[1] == "Dockerfile" or "." in words[1].strip("."))
        return words[1] if named else None


@dataclass(frozen=True)
class Page:
    """One document."""

    file: str
    text: str
    made: Mapping[str, str] = field(default_factory=dict)
    """Files that its commands write."""

    @cached_property
    def blocks(self) -> list[Block]:
        """Return its blocks of code."""
        return [
            Block(self.file, token.map[0] + (2 if token.type == "fence" else 1), token.info.strip(), token.content)
            for token in _MARKDOWN.parse(self.text)
            if token.type in ("fence", "code_block") and token.map
        ]

    @cached_property
    def spans(self) -> list[Block]:
        """Return the code in its running text."""
        return [
            Block(self.file, token.map[0] + 1, "inline", child.content)
            for token in _MARKDOWN.parse(self.text)
            if token.type == "inline" and token.map
            for child in _code(token)
        ]

    @cached_property
    def files(self) -> dict[str, str]:
        """Return the files that its blocks show, by their names."""
        return {block.name: block.text for block in self.blocks if block.name} | dict(self.made)


def _code(token: Token) -> Iterator[Token]:
    return (child for child in token.children or [] if child.type == "code_inline")


def documents(root: Path = ROOT) -> list[Path]:
    """Return every document of the repository that people read."""
    places = [*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "charts").rglob("*.md")]
    return sorted([*places, *(root / "keda").rglob("*.md"), *(root / "images").rglob("*.md")])


@cache
def pages() -> dict[str, Page]:
    """Return the documents by their paths in the repository."""
    found = [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in documents()]
    return {file: Page(file, text) for file, text in found}
