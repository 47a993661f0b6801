"""`stalk credentials`: a Secret with random passwords, made once and then only completed.

A rotation is completion too: passwords of the next generation are further keys, so that those before stay valid for the
pods that have them, and for a rollback.

It speaks to the API server from inside a pod with nothing but Python's library, because the image has no client.
"""

import base64
import http.client
import json
import os
import secrets
import ssl
import string
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FOLDER_VARIABLE", "GENERATION", "Wanted", "credentials"]

FOLDER_VARIABLE = "STALK_SERVICE_ACCOUNT_DIR"
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
ALPHABET = string.ascii_letters + string.digits
"""No character that a URL, a shell or a configuration file would need quoted."""
GENERATION = "stalk/generation"
"""Annotation of the Secret: the highest generation of passwords that it holds."""
LEAST_LENGTH = 16
LONGEST_REQUEST = 10.0
LONGEST_PAUSE = 5.0


class _Failed(Exception):
    """The reason, as one line."""


class _TryAgain(Exception):
    """The API server was not there, was busy, or somebody else wrote at the same time."""


@dataclass(frozen=True)
class _Answer:
    status: int
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.status}: {self.body.get('message') or 'no message'}"


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
            _Failed: there are none, or they make no sense.
        """
        twice = sorted(set(self.keys) & set(self.literals))
        if twice:
            raise _Failed(f"{twice[0]} is both a --key and a --literal; keep one of them")
        if not self.keys and not self.literals:
            raise _Failed("name what the Secret holds: --key KEY (random) or --literal KEY=VALUE")
        if self.length < LEAST_LENGTH:
            raise _Failed(f"--length {self.length} is too short; use {LEAST_LENGTH} or more")
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
        secret = _Secret(_Cluster(), wanted.name, dict(wanted.labels), wanted.generation)
        while True:
            try:
                print(secret.complete(values, min(LONGEST_REQUEST, max(0.1, deadline - time.monotonic()))))
            except _TryAgain as reason:
                left = deadline - time.monotonic()
                if left <= 0:
                    return f"Secret {wanted.name} is not complete after {timeout:g} s: {reason}"
                time.sleep(min(pause, left))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return None
    except _Failed as reason:
        return str(reason)


class _Cluster:
    """The API server, as a pod's service account reaches it."""

    def __init__(self) -> None:
        self.folder = Path(os.environ.get(FOLDER_VARIABLE) or FOLDER)
        host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
        if not host or not port:
            raise _Failed("this runs in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
        self.address = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self.namespace = self._read("namespace")
        try:
            context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
            # Python 3.13 asks more of a CA's extensions than Kubernetes does: many clusters' CAs would be refused.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        except OSError as error:  # SSLError is one
            raise _Failed(f"{self.folder / 'ca.crt'} cannot be read: {error.strerror or error}") from error
        # A proxy of the environment must never see the token.
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def ask(self, method: str, path: str, body: Any, content_type: str, timeout: float) -> _Answer:
        """Send a request and return its answer, whatever it is.

        Raises:
            _TryAgain: no answer, or one that says "later".
            _Failed: the server is not the cluster's own.
        """
        headers = {
            "Accept": "application/json",
            "Authorization": f"Bearer {self._read('token')}",  # read each time, because it is rotated
            "Content-Type": content_type,
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)  # noqa: S310 (always https)
        try:
            with self.opener.open(request, timeout=timeout) as response:
                return _Answer(response.status, _object(response.read()))
        except urllib.error.HTTPError as error:
            answer = _Answer(error.code, _object(error.read()))
            if error.code == 429 or error.code >= 500:
                raise _TryAgain(f"the API server answers {answer}") from error
            return answer
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise _Failed(f"{self.address} is not the server of {self.folder / 'ca.crt'}: {reason}") from error
            raise _TryAgain(f"no answer from {self.address}: {reason}") from error

    def _read(self, name: str) -> str:
        path = self.folder / name
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise _Failed(
                f"{path} cannot be read: {error.strerror}; the pod needs automountServiceAccountToken: true"
            ) from error


class _Secret:
    """One Secret, read and then created or completed."""

    def __init__(self, cluster: _Cluster, name: str, labels: dict[str, str], generation: int) -> None:
        self.cluster, self.name, self.labels, self.generation = cluster, name, labels, generation
        self.folder = f"/api/v1/namespaces/{cluster.namespace}/secrets"

    def complete(self, wanted: Mapping[str, str], timeout: float) -> str:
        """Make the Secret hold the wanted keys, and return what was done.

        Raises:
            _TryAgain: it changed in between, or the server was not there; nothing is lost by calling again.
            _Failed: the server refuses.
        """
        found = self._ask("GET", f"/{self.name}", None, "application/json", timeout)
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
        self._ask("PATCH", f"/{self.name}", patch, "application/merge-patch+json", timeout)
        return f"Secret {self.name}: added {_listed(missing)}; kept {kept or 'nothing'}"

    def _highest(self, annotations: Mapping[str, str]) -> int:
        """Return the highest generation that the Secret holds, this one included."""
        held = int(annotations.get(GENERATION, "1"))
        if self.generation > held + 1:
            raise _Failed(
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
        self._ask("POST", "", secret, "application/json", timeout)
        return f"Secret {self.name}: created with {_listed(wanted)}"

    def _ask(self, method: str, path: str, body: Any, content_type: str, timeout: float) -> _Answer:
        answer = self.cluster.ask(method, self.folder + path, body, content_type, timeout)
        # 409: somebody created or changed it since it was read. 404 for a PATCH: somebody deleted it.
        if answer.status == 409 or (answer.status == 404 and method == "PATCH"):
            raise _TryAgain(f"the API server answers {answer}")
        if answer.status < 300 or (answer.status == 404 and method == "GET"):
            return answer
        if answer.status == 403:
            raise _Failed(self._denied(method, answer))
        if answer.status == 401:
            raise _Failed(f"the API server does not know the token in {self.cluster.folder / 'token'}: {answer}")
        raise _Failed(f"{method} of Secret {self.name} in namespace {self.cluster.namespace} failed with {answer}")

    def _denied(self, method: str, answer: _Answer) -> str:
        # "create" cannot be bound to a name: the request has none in its path.
        if method == "POST":
            rule = '{apiGroups: [""], resources: [secrets], verbs: [create]}'
        else:
            rule = f'{{apiGroups: [""], resources: [secrets], resourceNames: [{self.name}], verbs: [get, patch]}}'
        return (
            f"the service account may not {_VERBS[method]} Secret {self.name} in namespace {self.cluster.namespace} "
            f"({answer}); add to its Role: {rule}"
        )


_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch"}


def _annotations(generation: int) -> dict[str, dict[str, str]]:
    return {"annotations": {GENERATION: str(generation)}} if generation > 1 else {}


def _encoded(values: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(os.fsencode(value)).decode() for key, value in values.items()}


def _listed(keys: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(keys)


def _object(body: bytes) -> dict[str, Any]:
    """Return a body as an object; one that is none has no keys."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
