"""kubectl's lines: known verbs and flags, and what they name is what a release `stalk` has."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from snippets.world import ALIASES, Thing, World

__all__ = ["Parsed", "parsed", "problems"]

_GLOBAL = {"-n": 1, "--namespace": 1, "--context": 1, "--kubeconfig": 1}
_LOOK = {"-l": 1, "-o": 1, "-A": 0}
_FLAGS: dict[str, dict[str, int]] = {
    "annotate": {"-l": 1, "--overwrite": 0},
    "api-resources": {"--verbs": 1, "--namespaced": 0, "-o": 1},
    "apply": {"-f": 1, "--server-side": 0, "--force-conflicts": 0},
    "auth": {},
    "cluster-info": {},
    "config": {},
    "create": {"--from-literal": 1, "--from-file": 1, "--cert": 1, "--key": 1},
    "delete": {"-l": 1, "-f": 1, "--all": 0, "--wait": 0},
    "describe": {"-l": 1},
    "diff": {"-f": 1},
    "exec": {"-c": 1, "-i": 0, "-t": 0, "-it": 0},
    "get": _LOOK | {"--sort-by": 1, "-w": 0, "--watch": 0, "--show-labels": 0, "-L": 1, "--raw": 1},
    "label": {"-l": 1, "--overwrite": 0},
    "logs": {"-l": 1, "-c": 1, "-f": 0, "--tail": 1, "--prefix": 0, "--previous": 0, "--since": 1},
    "patch": {"-p": 1, "--patch": 1, "--type": 1},
    "port-forward": {},
    "rollout": {"-l": 1, "--timeout": 1},
    "scale": {"--replicas": 1, "-l": 1},
    "set": {"-l": 1},
    "top": {"-l": 1},
    "wait": {"-l": 1, "--for": 1, "--timeout": 1, "--all": 0},
}
"""The verbs that documents may use, and their flags: 1 with a value, 0 without."""
_NAMED = {"annotate", "delete", "describe", "get", "label", "patch", "rollout", "scale", "top", "wait"}
"""Verbs whose words are kinds and names."""
_ELSEWHERE = {
    ("keda", "Deployment", "keda-operator"),
    ("argocd", "Application", "stalk"),
}
"""Objects of others: namespace, kind, name."""
_OUTSIDE = {"Node", "Event", "CustomResourceDefinition", "APIService", "Namespace", "Application", "HelmRelease"}
"""Kinds that a release has none of."""
_MORE_KINDS = {
    "apiservice": "APIService",
    "apiservices": "APIService",
    "application": "Application",
    "crd": "CustomResourceDefinition",
    "helmrelease": "HelmRelease",
}
_SERVER_PROGRAMS = {
    "rabbitmq": {"rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-queues"},
    "redis": {"redis-cli"},
}
"""Programs by what the name of their image ends with; every other image is an app's, or Stalk's."""
_APP_PROGRAMS = {"stalk", "python", "celery"}
_EVERYWHERE = {"df", "du", "env", "ls", "cat"}


@dataclass
class Parsed:
    """A line of kubectl's, taken apart."""

    namespace: str = ""
    verb: str = ""
    flags: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    """After `--`."""


def parsed(words: Sequence[str]) -> Parsed:
    """Take a line apart.

    Raises:
        ValueError: an unknown verb or flag.
    """
    found = Parsed()
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        allowed = _GLOBAL | _FLAGS.get(found.verb, {})
        if word == "--":
            found.command = rest
            break
        if not word.startswith("-"):
            if found.verb:
                found.words.append(word)
            elif word in _FLAGS:
                found.verb = word
            else:
                raise ValueError(f"kubectl {word} is in no table of tests/snippets/kubectl.py")
        elif name not in allowed:
            raise ValueError(f"kubectl {found.verb} {name} is in no table of tests/snippets/kubectl.py")
        elif allowed[name] and not equals:
            if not rest:
                raise ValueError(f"{name} has no value")
            found.flags[name] = rest.pop(0)
        else:
            found.flags[name] = value
    found.namespace = found.flags.pop("-n", found.flags.pop("--namespace", ""))
    if not found.verb:
        raise ValueError("kubectl without a verb")
    return found


def problems(words: Sequence[str], world: World) -> Iterator[str]:
    """Tell what a release would have against a line. What runs in a container (`exec … --`) is not looked into."""
    try:
        line = parsed(words)
    except ValueError as error:
        yield str(error)
        return
    if line.namespace and line.namespace not in {"stalk", *(place for place, _, _ in _ELSEWHERE)}:
        yield f"which namespace is {line.namespace}? The documents' release is in `stalk`"
        return
    if line.verb == "exec":
        yield from _exec(line, world)
    elif line.verb == "port-forward":
        yield from _forward(line, world)
    elif line.verb == "logs":
        yield from _logs(line, world)
    elif line.verb in _NAMED:
        yield from _named(line, world)


def _kinds(word: str) -> list[str]:
    """Return the kinds that a word such as `hpa,deployments` means."""
    found = []
    for name in word.lower().split(","):
        known = ALIASES | _MORE_KINDS
        kind = known.get(name) or known.get(name.removesuffix("s")) or known.get(name.removesuffix("es"))
        if kind is None:
            raise ValueError(f"kubectl knows no {name}, or tests/snippets/world.py does not")
        found.append(kind)
    return found


def _named(line: Parsed, world: World) -> Iterator[str]:
    words = list(line.words)
    if line.verb == "rollout":
        if words[:1] not in (["history"], ["restart"], ["status"], ["undo"]):
            yield f"kubectl rollout {words[:1]}?"
        words = words[1:]
    if line.verb in {"annotate", "label"}:
        words = [word for word in words if not re.fullmatch(r"[a-z./-]+(=.*|-)", word) or word in ALIASES]
    if "--raw" in line.flags or "-f" in line.flags:
        return
    if not words:
        yield f"kubectl {line.verb} what?"
        return
    try:
        targets = _targets(words)
    except ValueError as error:
        yield str(error)
        return
    for kind, name in targets:
        yield from _exists(kind, name, line, world)


def _targets(words: list[str]) -> list[tuple[str, str]]:
    """Return kinds and names; an empty name is all of the kind."""
    if "/" in words[0]:
        return [(_kinds(kind)[0], name) for kind, _, name in (word.partition("/") for word in words)]
    names = words[1:] or [""]
    return [(kind, name) for kind in _kinds(words[0]) for name in names]


def _exists(kind: str, name: str, line: Parsed, world: World) -> Iterator[str]:
    if kind in _OUTSIDE or (line.namespace, kind, name) in _ELSEWHERE:
        return
    things = world.find(kind, name) if name else world.of(kind)
    if not things:
        have = sorted({thing.name for thing in world.of(kind)})
        yield f"a release has no {kind} {name}; it has {have}"
        return
    if "-l" in line.flags and not any(_matches(line.flags["-l"], thing) for thing in things):
        yield f"no {kind} has the labels {line.flags['-l']}"
    if kind == "Secret" and name:
        for key in _keys(line.flags.get("-o", "")):
            if not any(key in thing.keys for thing in things):
                yield f"the Secret {name} has no key {key}"


def _keys(output: str) -> list[str]:
    """Return the keys of `.data` that a template or a JSONPath reads."""
    template = re.findall(r"index \.data \"([^\"]+)\"", output)
    return template or [key.replace("\\.", ".") for key in re.findall(r"\{\.data\.((?:[^}.\\]|\\.)+)\}", output)]


def _matches(selector: str, thing: Thing) -> bool:
    for part in re.split(r",(?![^(]*\))", selector):
        several = re.fullmatch(r"\s*(\S+) in \(([^)]*)\)\s*", part)
        label, values = several.groups() if several else part.split("=", 1)
        if thing.labels.get(label) not in {value.strip() for value in values.split(",")}:
            return False
    return True


def _pods(target: str, world: World) -> list[Thing]:
    """Return what runs under a target such as `deploy/stalk-api`, `service/…` or a pod's name."""
    kind, slash, name = target.partition("/")
    if not slash:
        return world.find("Pod", target)
    return world.find(_kinds(kind)[0], name)


def _exec(line: Parsed, world: World) -> Iterator[str]:
    if len(line.words) != 1 or not line.command:
        yield "exec needs one target, and `--` before the command"
        return
    things = _pods(line.words[0], world)
    if not things:
        yield f"a release has no {line.words[0]}"
        return
    named = line.flags.get("-c")
    found = [
        container
        for thing in things
        for container in thing.spec["containers"][: None if named else 1]
        if named in (None, container["name"])
    ]
    if not found:
        yield f"{line.words[0]} has no container {named}"
        return
    program = line.command[0]
    if program in _EVERYWHERE:
        return
    for container in found:
        image = container["image"].partition("@")[0].rpartition("/")[2].partition(":")[0]
        if program not in _SERVER_PROGRAMS.get(image, _APP_PROGRAMS):
            yield f"is {program} in {container['image']}?"
            return


def _forward(line: Parsed, world: World) -> Iterator[str]:
    target, *ports = line.words
    kind, _, name = target.partition("/")
    if _kinds(kind) != ["Service"]:
        yield "forward to a Service"
        return
    things = world.find("Service", name)
    if not things:
        yield f"a release has no Service {name}; it has {sorted({thing.name for thing in world.of('Service')})}"
    for port in ports:
        if not any(_serves(thing, int(port.rpartition(":")[2])) for thing in things):
            yield f"{name} has no port {port.rpartition(':')[2]}"


def _serves(thing: Thing, port: int) -> bool:
    return any(each["port"] == port for each in thing.spec["ports"])


def _logs(line: Parsed, world: World) -> Iterator[str]:
    if "-l" in line.flags:
        if not any(_matches(line.flags["-l"], pod) for pod in world.of("Pod")):
            yield f"no pod has the labels {line.flags['-l']}"
        return
    if len(line.words) != 1:
        yield "logs of what?"
        return
    kind, _, name = line.words[0].partition("/")
    if name and (line.namespace, _kinds(kind)[0], name) in _ELSEWHERE:
        return
    things = _pods(line.words[0], world)
    named = line.flags.get("-c")
    if not things:
        yield f"a release has no {line.words[0]}"
    elif named and not any(named == each["name"] for thing in things for each in thing.spec["containers"]):
        yield f"{line.words[0]} has no container {named}"
