"""The API of external metrics on a test's own API server. It answers as KEDA's metrics server does, and no more."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme

from kube.control_plane import ControlPlane
from stalk.doctor.cluster import METRICS_API

__all__ = ["OF_KEDA", "MetricsApi", "served"]

OF_KEDA = ("keda", "keda-operator-metrics-apiserver")
"""The Service of KEDA's own, as its chart names it."""


class MetricsApi:
    """An APIService, and what answers for it.

    Args:
        plane: gets it.
        port: of this machine, where something answers.
        authority: of its certificate.
    """

    def __init__(self, plane: ControlPlane, port: int, authority: trustme.CA) -> None:
        self._plane, self._port, self._authority = plane, port, authority

    def belong(self, owner: tuple[str, str] = OF_KEDA, port: int | None = None) -> None:
        """Let it be of a Service, given by namespace and name; or let nothing answer at that port."""
        namespace, name = owner
        self._apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        service = {"type": "ExternalName", "externalName": "localhost"}
        metadata = {"namespace": namespace, "name": name}
        self._apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
        version, _, group = METRICS_API.partition(".")
        spec = {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": metadata | {"port": port or self._port},
            "caBundle": base64.b64encode(self._authority.cert_pem.bytes()).decode(),
        }
        kind = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": METRICS_API}}
        self._apply(kind | {"spec": spec})

    def await_available(self, *, answer: bool = True) -> None:
        """Wait until the API server has asked it."""
        words = ["wait", f"apiservice/{METRICS_API}", f"--for=condition=Available={answer}", "--timeout=60s"]
        self._plane.kubectl(*words)

    def remove(self) -> None:
        """Leave the cluster without it."""
        self._plane.kubectl("delete", "apiservice", METRICS_API, "--wait")

    def _apply(self, each: Mapping[str, object]) -> None:
        self._plane.kubectl("apply", "-f", "-", stdin=json.dumps(each))


@contextmanager
def served(plane: ControlPlane) -> Iterator[MetricsApi]:
    """Bring KEDA's, and serve it meanwhile."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("*.keda.svc", "*.monitoring.svc", "localhost").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        made = MetricsApi(plane, server.server_port, authority)
        made.belong()
        made.await_available()
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = json.dumps({"kind": "APIResourceList", "apiVersion": "v1", "resources": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass
