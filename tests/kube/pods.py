"""Pods of one namespace behind an API server."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kube.api_server import NAMESPACE, Reply, Request, ServedApi, refused
from stalk.steward.pods import COST

__all__ = ["WORKER", "ServedPods"]

PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"
WORKER = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "worker"}


class ServedPods(ServedApi):
    """Lists, reads and patches pods, of which it tells the metadata alone."""

    resource = "pods"

    def __init__(self, *args: Any) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.written: list[tuple[str, str | None]] = []
        """Each (name, cost) that was patched, in turn."""
        self.version = 0
        super().__init__(*args)

    def put(self, name: str, cost: str | None = None, **metadata: Any) -> dict[str, Any]:
        """Make a pod, a worker's unless labels say otherwise, or change one."""
        self.version += 1
        annotations = {"other": "stays"} | ({} if cost is None else {COST: cost})
        self.pods[name] = {
            "metadata": {
                "name": name,
                "labels": WORKER,
                "annotations": annotations,
                "resourceVersion": str(self.version),
            }
            | metadata
        }
        return self.pods[name]

    def cost(self, name: str) -> str | None:
        found: str | None = self.pods[name]["metadata"]["annotations"].get(COST)
        return found

    def answer(self, request: Request) -> Reply:
        url = urlsplit(request.path)
        one = "" if url.path == PATH else "PartialObjectMetadata"
        assert request.accept == f"application/json;as={one or 'PartialObjectMetadataList'};g=meta.k8s.io;v=v1"
        if not one:
            query = parse_qs(url.query)
            assert query["resourceVersion"] == ["0"]
            return self.listed(query["labelSelector"][0])
        name = url.path.removeprefix(f"{PATH}/")
        if name not in self.pods:
            return refused(404, "NotFound", f'pods "{name}" not found')
        return Reply(200, self.pods[name]) if request.method == "GET" else self.merged(name, request.body)

    def listed(self, selector: str) -> Reply:
        terms = re.findall(r"([\w./-]+)(?:=([\w.-]+)| in \(([\w.,-]+)\))", selector)
        wanted = {name: {one} if one else set(several.split(",")) for name, one, several in terms}
        assert len(wanted) == selector.count("=") + selector.count(" in "), selector
        found = [
            pod
            for pod in self.pods.values()
            if all(pod["metadata"]["labels"].get(name) in values for name, values in wanted.items())
        ]
        return Reply(200, {"kind": "PartialObjectMetadataList", "items": found})

    def merged(self, name: str, patch: dict[str, Any]) -> Reply:
        metadata = self.pods[name]["metadata"]
        if patch["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            return refused(409, "Conflict", "the object has been modified")
        assert set(patch["metadata"]) == {"resourceVersion", "annotations"}
        assert set(patch["metadata"]["annotations"]) == {COST}
        both = (metadata["annotations"] or {}) | patch["metadata"]["annotations"]
        metadata["annotations"] = {key: value for key, value in both.items() if value is not None}
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        self.written.append((name, patch["metadata"]["annotations"][COST]))
        return Reply(200, self.pods[name])
