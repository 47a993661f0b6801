"""Lines of the other programs that documents call: each is held against what this repository has."""

import contextlib
import io
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import yaml
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement

from app.main import app
from snippets.blocks import ROOT
from stalk import cli, extras
from stalk.plan import command as plan

__all__ = [
    "celery",
    "cosign",
    "curl",
    "docker",
    "export",
    "free",
    "git",
    "make",
    "pip",
    "python",
    "rabbitmqctl",
    "redis_cli",
    "script",
    "stalk",
]

_FORWARDED = {
    8000: "the API",
    30080: "the API, in kind",
    9808: "the exporter",
    5555: "Flower",
    30555: "Flower, in kind",
}
"""Loopback ports that documents forward or publish."""
_PAGES = {("GET", "/"), ("GET", "/docs")}
"""What the API answers beside its interface."""
_RABBITMQCTL = {
    "add_user": (1, 2),
    "add_vhost": (1, 1),
    "alarms": (0, 0),
    "authenticate_user": (1, 2),
    "change_password": (1, 2),
    "delete_queue": (1, 1),
    "list_permissions": (0, 0),
    "list_queues": (0, 20),
    "memory_breakdown": (0, 0),
    "set_permissions": (4, 4),
    "set_policy": (3, 3),
    "set_user_tags": (2, 9),
    "status": (0, 0),
}
"""Subcommands, and how many words each takes beside its options."""
_COLUMNS = {"arguments", "consumers", "message_bytes", "messages", "messages_ready", "name"}


def stalk(words: Sequence[str]) -> Iterator[str]:
    """Let `stalk`'s own parser read the line."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            if list(words[1:2]) == ["plan"]:
                plan._parser().parse_args(list(words[2:]))
                return
            known, more = cli._parser().parse_known_args(list(words[1:]))
        except SystemExit as end:
            if end.code:
                yield said.getvalue().strip()
            return
    if more and known.command != "flower":
        yield f"stalk {known.command} does not know {more}"


def make(words: Sequence[str]) -> Iterator[str]:
    """Let make read its file, and look for who reads the variables."""
    done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        yield done.stderr.strip()
    for word in words[1:]:
        name, equals, _ = word.partition("=")
        if equals and name not in _variables():
            yield f"nothing reads {name}"


@cache
def _variables() -> frozenset[str]:
    """Return what a caller of make may set: variables of the Makefile, settings, and what scripts and tests read."""
    from app.settings import Settings

    found = set(re.findall(r"\$\((\w+)\)", (ROOT / "Makefile").read_text(encoding="utf-8")))
    found |= {name.upper() for name in Settings.model_fields}
    for file in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "ci").rglob("*.py")]:
        found |= set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", file.read_text(encoding="utf-8")))
    return frozenset(found)


def docker(words: Sequence[str]) -> Iterator[str]:
    """Look for the files that the line names."""
    if list(words[1:3]) == ["compose", "-f"]:
        path, verb = words[3], words[4]
        if not (ROOT / path).is_file():
            yield f"there is no {path}"
        elif not yaml.safe_load((ROOT / path).read_text(encoding="utf-8")).get("services"):
            yield f"{path} has no services"
        if verb not in {"up", "down"} or not set(words[5:]) <= {"--build", "--volumes", "--detach"}:
            yield f"no rule for docker compose {verb} {words[5:]}"
    elif words[1] == "build":
        rest = list(words[2:])
        for flag in ("-f", "--file"):
            if flag in rest and not (ROOT / rest[rest.index(flag) + 1]).is_file():
                yield f"there is no {rest[rest.index(flag) + 1]}"
        if rest[-1] != ".":
            yield "docker build of what folder?"
    elif words[1] not in {"push"}:
        yield f"no rule for docker {words[1]}: add one to tests/snippets/programs.py"


def cosign(words: Sequence[str]) -> Iterator[str]:
    """Look whether chart or image of ours is verified, and whether the workflow that has signed it is there."""
    ours = {"ghcr.io/stalk-celery/charts/stalk", "ghcr.io/stalk-celery/stalk"}
    if words[1] != "verify" or words[2].partition("@")[0].rpartition(":")[0] not in ours:
        yield f"no rule for {' '.join(words[:3])}: add one to tests/snippets/programs.py"
    workflow = re.search(r"\.github/workflows/[\w.-]+", " ".join(words))
    if workflow is None or not (ROOT / workflow[0]).is_file():
        yield f"there is no workflow {workflow and workflow[0]}"


def curl(words: Sequence[str]) -> Iterator[str]:
    """Ask the API's own routes whether they would answer, and whether they would take the body."""
    method, body = "GET", None
    url = ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-d":
            body = next(rest)
            method = "POST" if method == "GET" else method
        elif word == "--json":
            body = next(rest)
            yield "curl before 7.82, which Ubuntu 22.04 has, knows no --json: -H 'Content-Type: application/json' -d"
        elif word in {"-u", "-o", "-H"}:
            next(rest)
        elif word.startswith("-"):
            if word not in {"-N", "-s", "-f", "-sf", "-L", "-i", "-fsS", "-S"}:
                yield f"no rule for curl {word}: add one to tests/snippets/programs.py"
        else:
            url = word if "://" in word else f"http://{word}"
    parts = urlsplit(url)
    if parts.hostname not in {"localhost", "127.0.0.1"} or parts.port not in _FORWARDED:
        yield f"{url} is none of the addresses that documents use: {_FORWARDED}"
    elif "API" in _FORWARDED[parts.port]:
        yield from _routed(method, parts.path or "/", body)
    elif parts.path not in {"/metrics", "/healthcheck"}:
        yield f"does {_FORWARDED[parts.port]} have {parts.path}?"


def _routed(method: str, path: str, body: str | None) -> Iterator[str]:
    description = app.openapi()
    for template, methods in sorted(description["paths"].items(), key=lambda item: item[0].count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in methods:
            if body is not None:
                yield from _taken(methods[method.lower()], body, description)
            return
    if (method, path) not in _PAGES:
        yield f"the API has no {method} {path}"


def _taken(operation: dict[str, Any], body: str, description: dict[str, Any]) -> Iterator[str]:
    if "requestBody" not in operation:
        yield "that route takes no body"
        return
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    try:
        read = json.loads(body)
    except ValueError as error:
        yield str(error)
        return
    for problem in Draft202012Validator(schema | {"components": description["components"]}).iter_errors(read):
        yield problem.message


def pip(words: Sequence[str]) -> Iterator[str]:
    """Look for the extras, and whether the packages are ours or what this project depends on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rest = list(words[3:] if words[1] == "--python" else words[1:])
    if rest[0] != "install":
        yield f"no rule for pip {rest[0]}"
    for word in rest[1:]:
        if word.startswith("-"):
            continue
        path = word.partition("[")[0]
        if path == "." or (ROOT / path).is_dir():
            continue
        wanted = Requirement(word)
        if wanted.name != project["name"]:
            continue  # somebody else's
        missing = wanted.extras - set(project["optional-dependencies"])
        if missing:
            yield f"{project['name']} has no extra {missing}"
        if wanted.url is None:
            yield f"{project['name']} is on no index: write '{wanted} @ {extras.wheel()}', or link docs/install.md"
        elif wanted.url != extras.wheel():
            yield f"the wheel of this version is {extras.wheel()}, not {wanted.url}"


def celery(words: Sequence[str]) -> Iterator[str]:
    """Look for the options among those of Celery's own command."""
    from celery.bin.worker import worker

    rest = [word for word in words[1:] if word.startswith("-") or word == "worker"]
    if list(words[3:]) == ["inspect", "registered"]:
        return
    if "worker" not in rest:
        yield f"no rule for {' '.join(words)}: add one to tests/snippets/programs.py"
        return
    known = {option for parameter in worker.params for option in parameter.opts} | {"-A", "--app"}
    for word in rest:
        if word != "worker" and word.partition("=")[0] not in known:
            yield f"a worker of Celery knows no {word}"


def python(words: Sequence[str]) -> Iterator[str]:
    """Look for the file, or compile what `-c` says."""
    if words[1] == "-c":
        try:
            compile(words[2], "-c", "exec")
        except SyntaxError as error:
            yield str(error)
    elif not (ROOT / words[1]).exists():
        yield f"there is no {words[1]}"


def script(words: Sequence[str]) -> Iterator[str]:
    """Look for the repository's own program."""
    path = ROOT / words[0].removeprefix("./")
    if not path.is_file() or not path.stat().st_mode & 0o111:
        yield f"there is no program {words[0]}"


def git(words: Sequence[str]) -> Iterator[str]:
    """Is it this repository that is cloned?"""
    home = yaml.safe_load((ROOT / "charts" / "stalk" / "Chart.yaml").read_text(encoding="utf-8"))["home"]
    if list(words[1:]) != ["clone", home]:
        yield f"no rule for {' '.join(words)}; the repository is {home}"


def rabbitmqctl(words: Sequence[str]) -> Iterator[str]:
    """Hold subcommands, numbers of arguments and columns against a table."""
    rest = list(words[1:])
    for option in ("--vhost", "--apply-to"):
        if option in rest:
            index = rest.index(option)
            del rest[index : index + 2]
    if not rest or rest[0] not in _RABBITMQCTL:
        yield f"{' '.join(words[:2])} is in no table of tests/snippets/programs.py"
        return
    least, most = _RABBITMQCTL[rest[0]]
    if not least <= len(rest) - 1 <= most:
        yield f"{rest[0]} takes {least} to {most} words, not {rest[1:]}"
    if rest[0] == "list_queues" and not set(rest[1:]) <= _COLUMNS:
        yield f"columns that nobody knows: {set(rest[1:]) - _COLUMNS}"


def export(words: Sequence[str]) -> Iterator[str]:
    """`export` of a variable that somebody reads."""
    for word in words[1:]:
        name = word.partition("=")[0]
        if name not in _variables() | {"KUBECONFIG"}:
            yield f"nothing reads {name}"


def free(_words: Sequence[str]) -> Iterator[str]:
    """Say nothing: `cd`, `grep` and the like have nothing of ours in them."""
    return iter(())


def redis_cli(words: Sequence[str]) -> Iterator[str]:
    """Which section of `info`?"""
    if list(words[1:]) == ["ping"]:
        return
    if words[1] != "info" or not set(words[2:]) <= {"memory", "persistence", "clients", "stats"}:
        yield f"no rule for {' '.join(words)}: add one to tests/snippets/programs.py"
