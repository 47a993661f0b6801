"""The pods of a release's workers, and what each is said to be worth."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from stalk.api_server import Answer, ApiServer, TryAgain
from stalk.steward.selector import Selector

__all__ = ["COST", "Pods"]

COST = "controller.kubernetes.io/pod-deletion-cost"
"""Pods of a ReplicaSet with a lower one go first; without it, 0.
https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost"""
RULE = '{apiGroups: [""], resources: [pods], verbs: [get, list, patch]}'
LONGEST_REQUEST = 5.0
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
"""Of a pod only its metadata is asked for: a tenth of it, and nothing that a container is given."""


class Pods:
    """The pods that match.

    Args:
        server: of the pods' cluster; they are in its namespace.
        selector: which pods. No other is ever written to.
    """

    def __init__(self, server: ApiServer, selector: Selector) -> None:
        self._server, self._selector = server, selector
        self._folder = f"/api/v1/namespaces/{server.namespace}/pods"

    def costs(self) -> dict[str, int]:
        """Return each pod's cost by its name, without pods that terminate.

        Raises:
            TryAgain: the server did not say.
            Failed: it never will.
        """
        # Version 0: whatever the server remembers, so that it does not have to ask etcd.
        query = urlencode({"labelSelector": self._selector.text, "resourceVersion": "0"})
        found = self._ask("list", "pods", f"?{query}", None, "List").body.get("items") or []
        metadata = [_metadata(pod) for pod in found]
        return {pod["name"]: _cost(pod) for pod in metadata if not pod.get("deletionTimestamp")}

    def write(self, name: str, cost: int) -> bool:
        """Set a pod's cost, 0 by taking the annotation away; return False when the pod is not one to write to any more.

        Raises:
            TryAgain: not done; somebody else may have written at the same time.
            Failed: it never will be.
        """
        path, what = f"/{quote(name)}", f"pod {name}"
        answer = self._ask("get", what, path, None)
        pod = _metadata(answer.body)
        mine = self._selector.matches(pod.get("labels") or {})
        if answer.status == 404 or not mine or pod.get("deletionTimestamp"):
            return False
        # With the version that was read: a pod that begins to terminate meanwhile is left alone.
        metadata = {"resourceVersion": pod.get("resourceVersion"), "annotations": {COST: str(cost) if cost else None}}
        return self._ask("patch", what, path, {"metadata": metadata}).status != 404

    def _ask(self, verb: str, what: str, path: str, body: Any, kind: str = "") -> Answer:
        method = "PATCH" if verb == "patch" else "GET"
        answer = self._server.ask(method, self._folder + path, body, LONGEST_REQUEST, _METADATA.format(kind))
        if answer.status < 300 or (answer.status == 404 and verb != "list"):
            return answer
        # A Role can be mended while this runs.
        raise TryAgain(self._server.refusal(verb, what, RULE, answer))


def _metadata(pod: Mapping[str, Any]) -> dict[str, Any]:
    return pod.get("metadata") or {}


def _cost(metadata: Mapping[str, Any]) -> int:
    """Return what a pod's annotation says, as the ReplicaSet controller reads it: 0 for what is no number."""
    try:
        return int((metadata.get("annotations") or {}).get(COST, "0"))
    except ValueError:
        return 0
