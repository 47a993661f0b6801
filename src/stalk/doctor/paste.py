"""Lines to paste: facts as words of a shell or as values, quoted so that both take them as they are."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Place", "Variable", "repeated", "setting", "shell", "values", "values_of"]

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9._/-]*")
"""What YAML takes for text without quotes, but for `_WORDS`."""
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_PARTS = {
    **{part: (part,) for part in ("api", "beat", "flower", "rabbitmq", "redis", "steward", "topology")},
    "doctor": ("test", "doctor"),
    "exporter": ("metrics", "exporter"),
}
"""Part of the chart, and where its values are; those of its other small programs are the toolkit's."""


class Variable(str):
    """A word that only the reader's shell knows, such as a password: the name of its variable."""


def shell(*words: str) -> str:
    """Return words as a command that bash reads as these words."""
    return " ".join(f'"${word}"' if isinstance(word, Variable) else shlex.quote(word) for word in words)


def repeated(flag: str, names: Iterable[str]) -> list[str]:
    """Return the words that give a flag with each of these values."""
    return [word for name in names for word in (flag, name)]


def setting(name: str, value: str) -> str:
    """Return a variable of the environment with its value, as bash and env files take it."""
    return f"{name}={shell(value)}"


def values(tree: Mapping[str, Any]) -> str:
    """Return values in a line of YAML.

    Args:
        tree: with one key at the top.
    """
    ((key, below),) = tree.items()
    return f"{key}: {_flow(below)}"


def values_of(labels: Mapping[str, str], tree: Mapping[str, Any]) -> str:
    """Return values of a part of the release in a line of YAML.

    Args:
        labels: of an object or pod of that part.
        tree: what its values shall have.
    """
    pool = labels.get("stalk/pool")
    path = ("workers", pool) if pool else _PARTS.get(labels.get("app.kubernetes.io/component", ""), ("toolkit",))
    for key in reversed(path):
        tree = {key: tree}
    return values(tree)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else json.dumps(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value)


@dataclass(frozen=True, slots=True)
class Place:
    """What a line may name where it is pasted. All is empty where the doctor sees no cluster: in a pod, or at home."""

    namespace: str = ""
    release: str = ""
    deployment: str = ""
    """One of the release with the app's environment: `stalk` runs there."""
    rabbitmq: str = ""
    """The pod of the bundled broker."""
    redis: str = ""
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Variable of the app's environment: the Secret and its key that it, or the file that it names, comes from."""

    def values_of(self, server: str) -> str:
        """Return the key of values.yaml for `rabbitmq` or `redis`: of the bundled one, or of one elsewhere."""
        return server if getattr(self, server) else f"external{server.capitalize()}"

    def kubectl(self, *words: str) -> str:
        """Return a command of kubectl, in the release's namespace where that is known."""
        return shell("kubectl", *(["-n", self.namespace] if self.namespace else []), *words)

    def look(self, kinds: str, part: str = "") -> str:
        """Return the command that lists objects of a part of the release: in all namespaces where its is not known."""
        everywhere = () if self.namespace else ("-A",)
        return self.kubectl("get", kinds, *everywhere, "-l", self.selector(part))

    def selector(self, part: str = "") -> str:
        """Return the labels of a part of the release, or of all of it."""
        found = [f"app.kubernetes.io/component={part}"] if part else ["app.kubernetes.io/part-of=stalk"]
        return ",".join([*found, f"app.kubernetes.io/instance={self.release}"] if self.release else found)

    def stalk(self, *words: str) -> str:
        """Return a command of `stalk` that runs where the app's environment is."""
        if not self.deployment:
            return shell("stalk", *words)
        return self.kubectl("exec", f"deploy/{self.deployment}", "--", "stalk", *words)

    def rabbitmqctl(self, *words: str) -> str:
        """Return a command of `rabbitmqctl`: in the bundled broker's pod, or on whatever machine the broker is."""
        if not self.rabbitmq:
            return shell("rabbitmqctl", *words)
        return self.kubectl("exec", self.rabbitmq, "-c", "rabbitmq", "--", "rabbitmqctl", *words)

    def restart(self, server: str) -> str:
        """Return the command that starts a bundled server, `rabbitmq` or `redis`, again."""
        again = self.kubectl("rollout", "restart", "statefulset", "-l", self.selector(server))
        return f"{again}   # when it starts, it takes the passwords that its Secret has"

    def redis_cli(self, server: str, *words: str) -> str:
        """Return a command of `redis-cli` with the app's login.

        Args:
            server: `host:port/db`, for where Redis is not the bundled one.
            words: behind it.
        """
        if self.redis:  # its container has the password in its environment
            return self.kubectl("exec", self.redis, "-c", "redis", "--", "redis-cli", *words)
        host, _, port = server.partition("/")[0].rpartition(":")
        return f'REDISCLI_AUTH="$REDIS_PASSWORD" {shell("redis-cli", "-h", host, "-p", port, *words)}'

    def secret(self, variable: str) -> str:
        """Return the command that prints what a variable of the app holds; empty where no Secret is known for it."""
        if variable not in self.secrets:
            return ""
        name, key = self.secrets[variable]
        path = key.replace(".", r"\.")
        return f"{self.kubectl('get', 'secret', name, '-o', f'jsonpath={{.data.{path}}}')} | base64 -d"

    def tls(self, server: str, variable: str) -> str:
        """Return what tells of TLS to a server of the release; empty where no release is seen.

        Args:
            server: `rabbitmq` or `redis`.
            variable: that names the CA's file.
        """
        if authority := self.secret(variable):
            return f"{authority} | openssl x509 -noout -subject -enddate   # whom the pods trust"
        if getattr(self, server):
            return self.look("services,configmaps", server)
        enabled = values({self.values_of(server): {"tls": {"enabled": True}}})
        return f"{enabled}   # values.yaml; or false" if self.namespace else ""
