"""A release of the chart behind an API server: the objects that a real cluster had, recorded in tests/unit/data."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from kube.api_server import TOKEN, Reply, Request, ServedApi, refused
from stalk.doctor.cluster import METRICS_API

__all__ = ["RECORDED", "ServedRelease"]

RECORDED = Path(__file__).parents[1] / "unit" / "data" / "release.json"
LISTS = {
    "deployments": "apps/v1",
    "replicasets": "apps/v1",
    "pods": "v1",
    "services": "v1",
    "events": "v1",
    "horizontalpodautoscalers": "autoscaling/v2",
    "networkpolicies": "networking.k8s.io/v1",
    "scaledobjects": "keda.sh/v1alpha1",
    "triggerauthentications": "keda.sh/v1alpha1",
}


def page(objects: list[dict[str, Any]], query: dict[str, list[str]]) -> dict[str, Any]:
    """Return the list that the API server gives for `fieldSelector`, `limit` and `continue`, in the order of names."""
    chosen = [each for each in objects if chooses(query.get("fieldSelector", [""])[0], each)]
    if "limit" not in query:
        return {"items": chosen}
    chosen.sort(key=lambda each: str(each["metadata"]["name"]))
    begin, limit = int(query.get("continue", ["0"])[0]), int(query["limit"][0])
    end = begin + limit
    return {"items": chosen[begin:end], "metadata": {"continue": str(end) if end < len(chosen) else ""}}


def chooses(selector: str, each: dict[str, Any]) -> bool:
    for term in filter(None, selector.split(",")):
        field, _, wanted = term.partition("=")
        found: Any = each
        for name in field.removesuffix("!").split("."):
            found = found.get(name, {})
        if (found == wanted) is field.endswith("!"):
            return False
    return True


class ServedRelease(ServedApi):
    """Lists what was recorded; a test changes `objects`, `named` and `forbidden`."""

    resource = "objects"
    request_queue_size = 64  # all is asked for at once

    def __init__(self, *args: Any) -> None:
        recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
        self.namespace: str = recorded["namespace"]
        self.objects: dict[str, list[dict[str, Any]]] = {
            "deployments": recorded["deployments"],
            "replicasets": recorded["replica_sets"],
            "pods": recorded["pods"],
            "services": recorded["services"],
            "events": recorded["events"],
            "horizontalpodautoscalers": recorded["autoscalers"],
            "networkpolicies": recorded["policies"],
            "scaledobjects": recorded["scaled_objects"],
            "triggerauthentications": [],
        }
        self.operators = recorded["operators"]
        self.space: dict[str, Any] = {"metadata": {"name": self.namespace}, "status": {"phase": "Active"}}
        self.metrics_api: dict[str, Any] | None = {
            "spec": {"service": {"namespace": "keda", "name": "keda-operator-metrics-apiserver"}},
            "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Passed"}]},
        }
        """Of external metrics; None: there is none."""
        self.named: dict[str, dict[str, dict[str, str]]] = {"secrets": {}, "configmaps": {}}
        """Kind, name: its data, as text."""
        self.openapi: Any = {}
        """What is said of KEDA's schemas."""
        self.forbidden: set[str] = set()
        """Kinds that may not be read."""
        self.stalled: set[str] = set()
        """Kinds, or names of objects, that are never answered."""
        self.lists: list[str] = []
        """Kinds that were listed, one for each page."""
        self._over = threading.Event()
        super().__init__(*args)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve meanwhile; at the end whoever still waits for what is stalled is let go."""
        with super().serving():
            try:
                yield
            finally:
                self._over.set()

    def deployment(self, name: str) -> dict[str, Any]:
        return next(each for each in self.objects["deployments"] if each["metadata"]["name"] == name)

    def set_environment(self, deployment: str, **values: Any) -> None:
        """Set variables of a Deployment's first container: text, or a `valueFrom`."""
        container = self.deployment(deployment)["spec"]["template"]["spec"]["containers"][0]
        kept = [each for each in container["env"] if each["name"] not in values]
        new = [
            {"name": name, **(value if isinstance(value, dict) else {"value": value})} for name, value in values.items()
        ]
        container["env"] = kept + new

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig that reaches this server."""
        authority = base64.b64encode((self.folder / "ca.crt").read_bytes()).decode()
        cluster = {"server": f"https://127.0.0.1:{self.server_port}", "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "me", "user": {"token": TOKEN}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "current-context": "here",
        }
        file = folder / "kubeconfig"
        file.write_text(json.dumps(config))
        return file

    def answer(self, request: Request) -> Reply:
        path = unquote(urlsplit(request.path).path).strip("/").split("/")
        if path[0] == "openapi":
            return Reply(200, self.openapi)
        if self.stalled & set(path[-2:]):
            self._over.wait()
        if path[-1] in self.forbidden or path[-2] in self.forbidden:
            return refused(403, "Forbidden", "cannot be read")
        of_the_cluster = {
            "apis/apps/v1/deployments": {"items": self.operators},
            f"api/v1/namespaces/{self.namespace}": self.space,
            f"apis/apiregistration.k8s.io/v1/apiservices/{METRICS_API}": self.metrics_api,
        }.get("/".join(path))
        if of_the_cluster is not None:
            return Reply(200, of_the_cluster)
        kind, inside = path[-1], path[-3:-1] == ["namespaces", self.namespace]
        if inside and kind in self.objects:
            assert "/".join(path[1 : path.index("namespaces")]) == LISTS[kind]
            self.lists.append(kind)
            return Reply(200, page(self.objects[kind], parse_qs(urlsplit(request.path).query)))
        found = self.named.get(path[-2], {}).get(path[-1])
        if found is None:
            return refused(404, "NotFound", f"{request.path} not found")
        secret = path[-2] == "secrets"
        return Reply(
            200,
            {
                "data": {
                    key: base64.b64encode(text.encode()).decode() if secret else text for key, text in found.items()
                }
            },
        )
