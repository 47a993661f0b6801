"""The lines that `stalk doctor` gives to paste: commands that a shell takes, or values that the chart takes."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from charting.rendering import defaults, merged, refusal
from snippets import helm, kubectl, programs
from snippets.shell import Command, ShellError, commands

__all__ = ["problems", "unpasteable"]

_PLACEHOLDER = re.compile(r"<[A-Za-z][^<>]*>|…")
_VALUES = re.compile(r"[a-z][A-Za-z]*: ")
_PYTHON = re.compile(r"[a-z_.]+ = |configure\(")
_CONF = re.compile(r"[a-z_]+\.[a-z_.]+ = \S+   # in rabbitmq\.conf")
_ASSIGNMENTS = re.compile(r"(?:[A-Z_]+=(?:[^\s'\"]|'[^']*'|\"[^\"]*\")+ *)+")
_FREE = {"base64", "curl", "env", "grep", "openssl", "rabbitmq-plugins", "xargs"}
"""Programs that have nothing of ours in them."""
_ANYWHERE = {"apiservice", "apiservices", "namespace", "nodes"}
"""Kinds without a namespace."""


def unpasteable(said: Mapping[str, Any], namespace: str = "") -> list[str]:
    """Return what is wrong with the lines of a diagnosis, as `stalk doctor --json` prints it.

    Args:
        said: the object.
        namespace: of the release, where the doctor knows it.
    """
    pastes = [each["paste"] for each in said["findings"]]
    pastes += [each["paste"] for each in said["unchecked"] if each["paste"]]
    return [f"{paste}: {problem}" for paste in pastes for problem in problems(paste, namespace)]


@cache
def problems(paste: str, namespace: str = "") -> tuple[str, ...]:
    """Return what is wrong with a line.

    Args:
        paste: the line.
        namespace: that kubectl has to be asked for, where it is known.
    """
    return tuple(_problems(paste, namespace))


def _problems(paste: str, namespace: str) -> Iterator[str]:
    if not paste.strip() or "\n" in paste:
        yield "not one line"
    elif placeholder := _PLACEHOLDER.search(paste):
        yield f"{placeholder[0]} is nothing to paste"
    elif _VALUES.match(paste):
        yield from _values(paste)
    elif _CONF.match(paste):
        return
    elif _PYTHON.match(paste):
        yield from _python(paste)
    else:
        yield from _shell(paste, namespace)


def _python(text: str) -> Iterator[str]:
    try:
        compile(text, "paste", "exec")
    except SyntaxError as error:
        yield str(error)


def _values(text: str) -> Iterator[str]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        yield str(error)
        return
    unknown = set(found) - set(defaults())
    if unknown:
        yield f"values.yaml has no {unknown}"
        return
    pools = {name: {"queues": [name]} for name in found.get("workers", {}) if name not in defaults()["workers"]}
    if problem := refusal(merged({"workers": pools} if pools else {}, found)):
        yield problem


def _shell(text: str, namespace: str) -> Iterator[str]:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        yield done.stderr.strip()
        return
    try:
        found = [command for part in (text, *re.findall(r"\$\(([^()]*)\)", text)) for command in commands(part)]
    except ShellError as error:
        yield str(error)
        return
    if not found and not _ASSIGNMENTS.fullmatch(text.partition("   # ")[0]):
        yield "no command"
    for command in found:
        yield from _command(command, namespace)


def _command(command: Command, namespace: str) -> Iterator[str]:
    words = command.words
    if words[0] == "kubectl":
        yield from _kubectl(words, namespace)
    elif words[0] == "helm":
        yield from helm.problems(words, {})
    elif words[0] in {"celery", "rabbitmqctl", "stalk"}:
        yield from {"celery": programs.celery, "rabbitmqctl": programs.rabbitmqctl, "stalk": programs.stalk}[words[0]](
            words
        )
    elif words[0] == "redis-cli":
        yield from programs.redis_cli([words[0], *(words[5:] if words[1] == "-h" else words[1:])])
    elif words[0] not in _FREE:
        yield f"{words[0]} is no program that a line to paste may begin with: see tests/snippets/pastes.py"


def _kubectl(words: Sequence[str], namespace: str) -> Iterator[str]:
    try:
        line = kubectl.parsed(words)
    except ValueError as error:
        yield str(error)
        return
    everywhere = bool({"-A", "-f"} & set(line.flags)) or line.verb == "api-resources"
    everywhere = everywhere or bool(line.words and line.words[0] in _ANYWHERE)
    if not everywhere and line.namespace not in {namespace, "keda"} - {""}:
        yield f"asks the namespace {line.namespace or 'of the context'}, not {namespace or 'all of them'}"
    if line.command:
        yield from _command(Command(tuple(line.command)), namespace)
