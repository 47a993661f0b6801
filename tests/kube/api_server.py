"""A real HTTPS server that behaves as the Kubernetes API server does towards a pod's service account."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest
import trustme

from stalk.api_server import FOLDER_VARIABLE

__all__ = ["NAMESPACE", "TOKEN", "Reply", "Request", "ServedApi", "refused"]

TOKEN = "a-token"
NAMESPACE = "shop"


class Request(NamedTuple):
    method: str
    path: str
    accept: str
    body: Any


class Reply(NamedTuple):
    status: int
    body: Any


def refused(status: int, reason: str, message: str) -> Reply:
    """Return a Status, as the API server says no."""
    return Reply(status, {"kind": "Status", "status": "Failure", "reason": reason, "message": message})


class ServedApi(ThreadingHTTPServer):
    """Objects of one namespace; and what goes wrong next. A subclass answers what the server lets through.

    Args:
        folder: becomes the service account's: CA, token, namespace.
        authority: of the server's certificate; one of its own unless given.
    """

    resource = ""
    """What a 403 is about."""

    def __init__(self, folder: Path, authority: trustme.CA | None = None) -> None:
        self.folder = folder
        self.requests: list[str] = []
        """Their methods."""
        self.denied: set[str] = set()
        """Methods that the Role does not allow."""
        self.faults: list[int | None] = []
        """Statuses to answer with instead, request by request; None hangs up."""
        self.meanwhile: list[tuple[str, Callable[[], object]]] = []
        """What others do just before a request of this method is served."""
        authority = authority or trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(folder / "ca.crt")
        (folder / "token").write_text(f"{TOKEN}\n")
        (folder / "namespace").write_text(NAMESPACE)
        super().__init__(("127.0.0.1", 0), _Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a pod has of it, and a proxy that must not be used."""
        return {
            FOLDER_VARIABLE: str(self.folder),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.server_port),
            "https_proxy": "http://127.0.0.1:1",
        }

    @contextmanager
    def in_this_process(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Self]:
        """Serve meanwhile, with this process as the pod."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        with self.serving():
            yield self

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve meanwhile."""
        thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet: some clients hang up, by design."""

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError


class _Handler(BaseHTTPRequestHandler):
    server: ServedApi

    def do_GET(self) -> None:
        api = self.server
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        api.requests.append(self.command)
        for index, (method, act) in enumerate(api.meanwhile):
            if method == self.command:
                del api.meanwhile[index]
                act()
                break
        if api.faults:
            status = api.faults.pop(0)
            if status is None:
                self.close_connection = True
                return
            reply = refused(status, "ServiceUnavailable", "the server is not ready")
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            reply = refused(401, "Unauthorized", "Unauthorized")
        elif self.command in api.denied:
            user = f"system:serviceaccount:{NAMESPACE}:stalk"
            reply = refused(403, "Forbidden", f'{api.resource} is forbidden: User "{user}" cannot do that')
        else:
            merge = "application/merge-patch+json"
            sent = {"PATCH": {merge}, "GET": {"", "application/json"}}.get(self.command, {"application/json"})
            assert (self.headers["Content-Type"] or "") in sent
            body = json.loads(raw) if raw else None
            reply = api.answer(Request(self.command, self.path, self.headers["Accept"], body))
        said = json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass
