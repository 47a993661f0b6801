"""The commands in a text for the shell, as far as documents need one: no here-documents, no functions."""

import re
import shlex
from dataclasses import dataclass

__all__ = ["Command", "ShellError", "commands"]

_SEPARATORS = {";", "&&", "||", "|", "&", "(", ")"}
_REDIRECTIONS = {">", ">>", "<", "2>"}
_KEYWORDS = {"do", "done", "then", "fi", "else", "if", "while", "!"}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


class ShellError(Exception):
    """The text cannot be read."""


@dataclass(frozen=True)
class Command:
    """One simple command: its words, and the variables that are set for it alone."""

    words: tuple[str, ...]
    environment: tuple[str, ...] = ()

    def __str__(self) -> str:
        return shlex.join(self.words)


def commands(text: str) -> list[Command]:
    """Return the simple commands of a text, those of pipes, lists, loops and `$(…)` one by one.

    Raises:
        ShellError: a quote is open at the end of a line, or there is a here-document.
    """
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
            lexer.whitespace_split = True
            tokens = list(lexer)
        except ValueError as error:
            raise ShellError(f"{error}: {line}") from None
        if "<<" in tokens:
            raise ShellError(f"a here-document: {line}")
        found += _split(tokens)
    return found


def _split(tokens: list[str]) -> list[Command]:
    found: list[Command] = []
    words: list[str] = []
    skip = False
    for token in [*tokens, ";"]:
        if skip:
            skip = False
        elif token in _REDIRECTIONS:
            skip = True
        elif token in _SEPARATORS or (set(token) <= set("();|&") and token):
            found += _simple(words)
            words = []
        else:
            words.append(token)
    return found


def _simple(words: list[str]) -> list[Command]:
    words = [word for word in words if word != "$"]
    while words and words[0] in _KEYWORDS:
        words = words[1:]
    environment = []
    while words and _ASSIGNMENT.match(words[0]):
        environment.append(words.pop(0))
    if not words or words[0] == "for":
        return []
    return [Command(tuple(words), tuple(environment))]
