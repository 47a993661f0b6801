"""`stalk credentials`: a Secret with random passwords, made once and then only completed.

A rotation is completion too: passwords of the next generation are further keys, so that those before stay valid for the
pods that have them, and for a rollback.
"""

import base64
import os
import secrets
import string
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stalk.api_server import Answer, ApiServer, Failed, TryAgain

__all__ = ["GENERATION", "Wanted", "credentials"]

ALPHABET = string.ascii_letters + string.digits
"""No character that a URL, a shell or a configuration file would need quoted."""
GENERATION = "stalk/generation"
"""Annotation of the Secret: the highest generation of passwords that it holds."""
LEAST_LENGTH = 16
LONGEST_REQUEST = 10.0
LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class Wanted:
    """What a Secret is to hold."""

    name: str
    """Of the Secret, in the pod's own namespace."""
    keys: Sequence[str]
    """They get a random password each."""
    literals: Mapping[str, str] = field(default_factory=dict)
    """Keys with the value they are created with."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the Secret, when it is created."""
    length: int = 32
    """Of a password."""
    generation: int = 1
    """Of the passwords: the Secret's own, or one more."""

    def values(self) -> dict[str, str]:
        """Return a value for each key.

        Raises:
            Failed: there are none, or they make no sense.
        """
        twice = sorted(set(self.keys) & set(self.literals))
        if twice:
            raise Failed(f"{twice[0]} is both a --key and a --literal; keep one of them")
        if not self.keys and not self.literals:
            raise Failed("name what the Secret holds: --key KEY (random) or --literal KEY=VALUE")
        if self.length < LEAST_LENGTH:
            raise Failed(f"--length {self.length} is too short; use {LEAST_LENGTH} or more")
        random = {key: "".join(secrets.choice(ALPHABET) for _ in range(self.length)) for key in self.keys}
        return random | dict(self.literals)


def credentials(wanted: Wanted, timeout: float = 60) -> str | None:
    """Create a Secret, or add the keys that it lacks; a key that is there is never changed.

    Args:
        wanted: what it is to hold.
        timeout: seconds to wait for the API server.

    Returns:
        What is wrong, or None.
    """
    deadline = time.monotonic() + timeout
    pause = 0.2
    try:
        values = wanted.values()
        secret = _Secret(ApiServer(), wanted.name, dict(wanted.labels), wanted.generation)
        while True:
            try:
                print(secret.complete(values, min(LONGEST_REQUEST, max(0.1, deadline - time.monotonic()))))
            except TryAgain as reason:
                left = deadline - time.monotonic()
                if left <= 0:
                    return f"Secret {wanted.name} is not complete after {timeout:g} s: {reason}"
                time.sleep(min(pause, left))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return None
    except Failed as reason:
        return str(reason)


class _Secret:
    """One Secret, read and then created or completed."""

    def __init__(self, server: ApiServer, name: str, labels: dict[str, str], generation: int) -> None:
        self.server, self.name, self.labels, self.generation = server, name, labels, generation
        self.folder = f"/api/v1/namespaces/{server.namespace}/secrets"

    def complete(self, wanted: Mapping[str, str], timeout: float) -> str:
        """Make the Secret hold the wanted keys, and return what was done.

        Raises:
            TryAgain: it changed in between, or the server was not there; nothing is lost by calling again.
            Failed: the server refuses.
        """
        found = self._ask("GET", f"/{self.name}", None, timeout)
        if found.status == 404:
            return self._create(wanted, timeout)
        held = found.body.get("data") or {}
        missing = {key: value for key, value in wanted.items() if key not in held}
        kept = _listed([key for key in wanted if key in held])
        metadata = found.body.get("metadata", {})
        highest = self._highest(metadata.get("annotations") or {})
        if not missing:
            return f"Secret {self.name}: kept {kept}"
        # With the version that was read, the server refuses to write over what somebody else has added since.
        patch = {
            "metadata": {"resourceVersion": metadata.get("resourceVersion")} | _annotations(highest),
            "data": _encoded(missing),
        }
        self._ask("PATCH", f"/{self.name}", patch, timeout)
        return f"Secret {self.name}: added {_listed(missing)}; kept {kept or 'nothing'}"

    def _highest(self, annotations: Mapping[str, str]) -> int:
        """Return the highest generation that the Secret holds, this one included."""
        held = int(annotations.get(GENERATION, "1"))
        if self.generation > held + 1:
            raise Failed(
                f"Secret {self.name} holds passwords of generation {held}, and {self.generation} is more than the "
                f"next: pods that still run would be locked out. Set credentials.generation to {held + 1}"
            )
        return max(held, self.generation)

    def _create(self, wanted: Mapping[str, str], timeout: float) -> str:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": self.name, "labels": self.labels} | _annotations(self.generation),
            "data": _encoded(wanted),
        }
        self._ask("POST", "", secret, timeout)
        return f"Secret {self.name}: created with {_listed(wanted)}"

    def _ask(self, method: str, path: str, body: Any, timeout: float) -> Answer:
        answer = self.server.ask(method, self.folder + path, body, timeout)
        # 409: somebody created or changed it since it was read. 404 for a PATCH: somebody deleted it.
        if answer.status == 409 or (answer.status == 404 and method == "PATCH"):
            raise TryAgain(f"the API server answers {answer}")
        if answer.status < 300 or (answer.status == 404 and method == "GET"):
            return answer
        # "create" cannot be bound to a name: the request has none in its path.
        names, verbs = ("", "create") if method == "POST" else (f"resourceNames: [{self.name}], ", "get, patch")
        rule = f'{{apiGroups: [""], resources: [secrets], {names}verbs: [{verbs}]}}'
        raise Failed(self.server.refusal(_VERBS[method], f"Secret {self.name}", rule, answer))


_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch"}


def _annotations(generation: int) -> dict[str, dict[str, str]]:
    return {"annotations": {GENERATION: str(generation)}} if generation > 1 else {}


def _encoded(values: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(os.fsencode(value)).decode() for key, value in values.items()}


def _listed(keys: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(keys)
