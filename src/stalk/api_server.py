"""The Kubernetes API server, as a pod's service account reaches it.

It is spoken to with nothing but Python's library, because the image has no client.
"""

import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["FOLDER_VARIABLE", "Answer", "ApiServer", "Failed", "TryAgain"]

FOLDER_VARIABLE = "STALK_SERVICE_ACCOUNT_DIR"
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
JSON = "application/json"


class Failed(Exception):
    """The reason, as one line; trying again would not help."""


class TryAgain(Exception):
    """The API server was not there, was busy, or somebody else wrote at the same time."""


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.status}: {self.body.get('message') or 'no message'}"


class ApiServer:
    """The API server of the cluster that this pod runs in.

    Raises:
        Failed: this is no pod, or it has no token.
    """

    def __init__(self) -> None:
        self.folder = Path(os.environ.get(FOLDER_VARIABLE) or FOLDER)
        host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
        if not host or not port:
            raise Failed("this runs in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
        self.address = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self.namespace = self._read("namespace")
        """The pod's own."""
        try:
            context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
            # Python 3.13 asks more of a CA's extensions than Kubernetes does: many clusters' CAs would be refused.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        except OSError as error:  # SSLError is one
            raise Failed(f"{self.folder / 'ca.crt'} cannot be read: {error.strerror or error}") from error
        # A proxy of the environment must never see the token.
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def ask(self, method: str, path: str, body: Any, timeout: float, accept: str = JSON) -> Answer:
        """Send a request and return its answer, whatever it is.

        Args:
            method: GET, POST, or PATCH, whose body holds only what changes (RFC 7386: null removes a key).
            path: from `/api`, quoted, with its query.
            body: what becomes JSON, or None.
            timeout: seconds without a byte.
            accept: as what the answer is wanted.

        Raises:
            TryAgain: no answer, or one that says "later".
            Failed: the server is not the cluster's own, or the token cannot be read.
        """
        data = None if body is None else json.dumps(body).encode()
        status, said = self._send(method, path, data, timeout, accept)
        answer = Answer(status, _object(said))
        if status == 429 or status >= 500:
            raise TryAgain(f"the API server answers {answer}")
        return answer

    def read(self, path: str, timeout: float) -> tuple[int, bytes]:
        """Return the status and the body of a GET, which need not be an object: a log is text.

        Args:
            path: from `/api`, quoted, with its query.
            timeout: seconds without a byte.

        Raises:
            TryAgain: no answer.
            Failed: the server is not the cluster's own, or the token cannot be read.
        """
        return self._send("GET", path, None, timeout, JSON)

    def _send(self, method: str, path: str, data: bytes | None, timeout: float, accept: str) -> tuple[int, bytes]:
        headers = {
            "Accept": accept,
            "Authorization": f"Bearer {self._read('token')}",  # read each time, because it is rotated
            "Content-Type": "application/merge-patch+json" if method == "PATCH" else JSON,
        }
        request = urllib.request.Request(self.address + path, data, headers, method=method)  # noqa: S310 (always https)
        try:
            with self.opener.open(request, timeout=timeout) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise Failed(f"{self.address} is not the server of {self.folder / 'ca.crt'}: {reason}") from error
            raise TryAgain(f"no answer from {self.address}: {reason}") from error

    def refusal(self, verb: str, what: str, rule: str, answer: Answer) -> str:
        """Return why a request was refused, in one line that says what to do about it.

        Args:
            verb: as RBAC has it, such as `get`.
            what: such as `Secret stalk`.
            rule: the Role's rule that allows it.
            answer: the server's.
        """
        where = f"{what} in namespace {self.namespace}"
        if answer.status == 403:
            return f"the service account may not {verb} {where} ({answer}); add to its Role: {rule}"
        if answer.status == 401:
            return f"the API server does not know the token in {self.folder / 'token'}: {answer}"
        return f"{verb.upper()} of {where} failed with {answer}"

    def _read(self, name: str) -> str:
        path = self.folder / name
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Failed(
                f"{path} cannot be read: {error.strerror}; the pod needs automountServiceAccountToken: true"
            ) from error


def _object(body: bytes) -> dict[str, Any]:
    """Return a body as an object; one that is none has no keys."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
