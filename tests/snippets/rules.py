"""Which rule a piece of code of a document is held against. What no rule covers is a problem of its own."""

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel

from chart.models import Values
from chart.models.workers import Pool
from chart.reference import model_in
from docs import BLOCK
from snippets import helm, kubectl, programs, yaml_blocks
from snippets.blocks import ROOT, Block, Page
from snippets.shell import Command, ShellError, commands
from snippets.world import World, world

__all__ = ["EXCEPTIONS", "problems", "shell_text"]

EXCEPTIONS: Mapping[tuple[str, str], str] = {}
"""Commands that no rule can check: document and command, and why. Each must be there, or it is a problem itself."""

_PROGRAMS: Mapping[str, Callable[[Sequence[str]], Iterator[str]]] = {
    ".venv/bin/stalk": programs.stalk,
    "cd": programs.free,
    "celery": programs.celery,
    "cosign": programs.cosign,
    "curl": programs.curl,
    "df": programs.free,
    "docker": programs.docker,
    "du": programs.free,
    "echo": programs.free,
    "export": programs.export,
    "git": programs.git,
    "grep": programs.free,
    "head": programs.free,
    "make": programs.make,
    "pip": programs.pip,
    "python": programs.python,
    ".venv/bin/python": programs.python,
    "rabbitmq-diagnostics": programs.rabbitmqctl,
    "rabbitmqctl": programs.rabbitmqctl,
    "redis-cli": programs.redis_cli,
    "seq": programs.free,
    "stalk": programs.stalk,
    "tail": programs.free,
}
"""How the words of a command are checked, by its program. kubectl and helm also need the page."""
_WORDS_TO_CHECK = {"docker", "helm", "kubectl", "make", "pip", "stalk"}
"""Programs whose commands in running text are checked."""


def problems(block: Block, page: Page) -> Iterator[str]:
    """Tell what is wrong with a piece of code, by the rule for its language."""
    language = _guessed(block) if not block.language else block.language
    rule = _RULES.get(language)
    if rule is None:
        yield f"no rule for the language `{language}`: add one to tests/snippets/rules.py"
    else:
        yield from rule(block, page)


def _guessed(block: Block) -> str:
    """Return the language of an indented block: commands, or a map in YAML."""
    first = block.text.split(maxsplit=1)
    if first and first[0] in {*_PROGRAMS, "kubectl", "helm"}:
        return "sh"
    return "yaml" if re.match(r"[A-Za-z]+:\s", block.text) else "indented, and neither commands nor values"


def _yaml(block: Block, _page: Page) -> Iterator[str]:
    yield from yaml_blocks.problems(block)


def shell_text(block: Block) -> str:
    """Return what is typed, of a block of commands or of a session with `$` before each."""
    if block.language != "console":
        return block.text
    typed = re.findall(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)$", block.text, re.M)
    return "\n".join(typed)


def _shell(block: Block, page: Page) -> Iterator[str]:
    try:
        found = commands(shell_text(block))
    except ShellError as error:
        yield str(error)
        return
    if not found:
        yield "no command"
    here = world(yaml_blocks.values_blocks(page))
    made = dict.fromkeys(re.findall(r"> (\S+\.yaml)", block.text), "")
    page = replace(page, made=made)
    for command in found:
        if (block.file, str(command)) not in EXCEPTIONS:
            for problem in _command(command, page, here):
                yield f"{command}: {problem}"


def _command(command: Command, page: Page, here: World) -> Iterator[str]:
    for setting in command.environment:
        yield from programs.export(["export", setting])
    yield from _words(command.words, page, here)


def _words(words: Sequence[str], page: Page, here: World) -> Iterator[str]:
    program = words[0]
    if program == "kubectl":
        yield from kubectl.problems(words, here)
        try:
            inside = kubectl.parsed(words).command
        except ValueError:
            return
        if inside:
            yield from _words(inside, page, here)
    elif program == "helm":
        yield from helm.problems(words, page.files)
    elif program in _PROGRAMS:
        yield from _PROGRAMS[program](words)
        yield from _apps(words, page)
        for word in words:
            if word.startswith("HELM="):  # what `make deploy-kind` hands on
                chart = ["helm", "upgrade", "--install", "stalk", "charts/stalk"]
                yield from helm.problems([*chart, *shlex.split(word.removeprefix("HELM="))], page.files)
    elif "/" in program:
        yield from programs.script(words)
    else:
        yield f"no rule for the program {program}: add one to tests/snippets/rules.py"


def _apps(words: Sequence[str], page: Page) -> Iterator[str]:
    """Look for the Celery apps that a command names, in the repository and in the page."""
    for flag, name in pairwise(words):
        if flag in {"-A", "--app"} and words[0] in {"stalk", "celery"}:
            path = name.partition(":")[0].replace(".", "/") + ".py"
            if path not in page.files and not (ROOT / "src" / path).is_file():
                yield f"neither the page nor src has {path}"


def _console(block: Block, page: Page) -> Iterator[str]:
    if not BLOCK.search(f"```console\n{block.text}```\n") or not block.file.startswith("docs/"):
        yield "ci/docs keeps `console` blocks fresh, those of `stalk` in docs/*.md; for other commands use `sh`"
    yield from _shell(block, page)


def _python(block: Block, page: Page) -> Iterator[str]:
    """Run it, beside the other modules of the page."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in page.files.items():
            if name.endswith(".py"):
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", block.text], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
    if done.returncode:
        yield done.stderr.strip()


def _dockerfile(block: Block, page: Page) -> Iterator[str]:
    ours = f"ghcr.io/stalk-celery/stalk:{yaml_blocks.VERSION}"
    for line in block.text.replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            if rest != ours and not re.fullmatch(r"python:3\.\d+-slim", rest):
                yield f"FROM {rest} is neither {ours} nor Python's image"
        elif word == "RUN":
            for command in commands(rest):
                yield from _words(command.words, page, world())
        elif word == "COPY":
            source = rest.split()[0]
            if not any(name == source or name.startswith(f"{source}/") for name in page.files):
                yield f"the page shows no {source} to copy"
        elif word not in {"#", "", "USER", "ENV", "WORKDIR"}:
            yield f"no rule for {word} in a Dockerfile: add one to tests/snippets/rules.py"


def _ini(block: Block, _page: Page) -> Iterator[str]:
    """A rabbitmq.conf: keys that the bundled RabbitMQ is configured with too, so that a real one has read them."""
    for line in block.text.splitlines():
        key = line.partition("=")[0].strip()
        if key and not key.startswith("#") and not re.search(rf"^{re.escape(key)} *=", _rabbitmq(), re.M):
            yield f"the bundled RabbitMQ has no {key}"


def _erlang(block: Block, _page: Page) -> Iterator[str]:
    """The same for an advanced.config."""
    for key in re.findall(r"\{(\w+),", block.text):
        if f"{{{key}," not in _rabbitmq():
            yield f"the bundled RabbitMQ has no {key}"


def _rabbitmq() -> str:
    return (ROOT / "charts/stalk/templates/_helpers/rabbitmq.tpl").read_text(encoding="utf-8")


def _promql(block: Block, _page: Page) -> Iterator[str]:
    """Every metric is one that the dashboard asks for, which a test asks a real Prometheus."""
    dashboard = (ROOT / "charts" / "stalk" / "dashboards" / "stalk.json").read_text(encoding="utf-8")
    metrics = set(re.findall(r"\b([a-z]+(?:_[a-z]+)+)\{", block.text))
    if not metrics:
        yield "no metric"
    for metric in metrics:
        if metric not in dashboard:
            yield f"the dashboard has no {metric}"


def _text(block: Block, _page: Page) -> Iterator[str]:
    """A picture, or what a program printed: no line of it is there to be typed."""
    for line in block.text.splitlines():
        words = line.lstrip("$ ").split()
        if words and words[0] in {"kubectl", "helm", "stalk", "make", "docker", "curl"}:
            yield f"a command in a block of text: {line}"


def _inline(block: Block, page: Page) -> Iterator[str]:
    """Check a command in the running text as far as it is given, and each key of values.yaml."""
    text = block.text.strip()
    key = _KEY.match(text)
    if key and key[1].partition(".")[0] in _first_parts() and not key[1].endswith((".conf", ".config", ".yaml")):
        yield from _key(key[1])
        return
    words = text.split()
    if words[:1] == ["--set"] and "…" not in text:
        yield from helm.problems(["helm", "template", "stalk", "charts/stalk", *words], page.files)
    if len(words) < 2 or words[0] not in _WORDS_TO_CHECK or "…" in text or "|" in text or "<" in text:
        return
    try:
        (command, *_) = commands(text)
    except ShellError as error:
        yield str(error)
        return
    yield from _partly(command.words, page)


def _partly(words: Sequence[str], page: Page) -> Iterator[str]:
    """Check a command that may be no more than a name: `helm upgrade`, `kubectl edit`."""
    if words[0] == "stalk":
        yield from (problem for problem in programs.stalk(words) if "arguments are required" not in problem)
    elif words[0] in {"make", "docker", "pip"} or len(words) > 3:
        yield from _words(words, page, world(yaml_blocks.values_blocks(page)))


_KEY = re.compile(r"([a-z][A-Za-z]*(?:\.(?:[A-Za-z][A-Za-z0-9]*|<[a-z]+>))+)(?:[:=] ?\S.*)?$")
"""A key of values.yaml, with or without a value."""


def _first_parts() -> set[str]:
    """Return what a key may begin with: the whole file's, or one's of a pool."""
    return {field.alias or name for model in (Values, Pool) for name, field in model.model_fields.items()}


def _key(path: str) -> Iterator[str]:
    """Walk the models along a key such as `workers.<pool>.autoscaling.max`, or one of a component's."""
    models: list[type[BaseModel]] = [Values]
    models += [model for field in Values.model_fields.values() if (model := model_in(field))]
    if not any(_walk(path.split("."), model) for model in models):
        yield f"values.yaml has no {path}"


def _walk(parts: Sequence[str], model: type[BaseModel]) -> bool:
    for index, part in enumerate(parts):
        if part.startswith("<") or (index == 1 and parts[0] == "workers"):  # a pool's name
            continue
        field = next((each for name, each in model.model_fields.items() if part == (each.alias or name)), None)
        if field is None:
            return False
        inner = model_in(field)
        if inner is None:
            return True
        model = inner
    return True


_RULES: Mapping[str, Callable[[Block, Page], Iterator[str]]] = {
    "console": _console,
    "dockerfile": _dockerfile,
    "erlang": _erlang,
    "ini": _ini,
    "inline": _inline,
    "promql": _promql,
    "python": _python,
    "sh": _shell,
    "text": _text,
    "yaml": _yaml,
}
"""How a block is checked, by its language."""
