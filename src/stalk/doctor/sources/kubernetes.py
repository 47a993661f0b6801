"""What the Kubernetes API says of a release, read with the kubeconfig of this machine."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from stalk.doctor.cluster import Cluster, Json, name_of
from stalk.doctor.gather import Running, start

__all__ = ["Kubernetes", "NoCluster"]

SECONDS = 5.0
EVENTS = 500
MOST_LOGS = 10


class NoCluster(Exception):
    """The cluster cannot be asked; the text says why, and what to type."""


class Kubernetes:
    """Reads objects as JSON, so that a check works on what `kubectl get -o json` prints.

    Args:
        context: of the kubeconfig; its current one unless given.
        namespace: of the release; the context's unless given.

    Raises:
        NoCluster: the client library is missing, or the kubeconfig cannot be used.
    """

    def __init__(self, context: str | None, namespace: str | None) -> None:
        try:
            from kubernetes import client, config
            from kubernetes.config.config_exception import ConfigException
        except ImportError:
            raise NoCluster("the Kubernetes client is not installed; pip install 'stalk-celery[doctor]'") from None
        try:
            self._client: Any = config.new_client_from_config(context=context)
            contexts, current = config.list_kube_config_contexts()
        except (ConfigException, OSError) as error:
            raise NoCluster(f"no kubeconfig that can be used: {error}") from error
        self._error = client.ApiException
        self.refused: dict[str, str] = {}
        """What may not be listed, and why."""
        self.context = context or str(current["name"])
        chosen = next((each for each in contexts if each["name"] == self.context), current)
        self.namespace = namespace or str(chosen["context"].get("namespace") or "default")

    def get(self, path: str, **query: Any) -> Any:
        """Return an object of the API.

        Raises:
            NoCluster: there is no answer, or the kubeconfig's user may not.
            LookupError: there is no such thing.
        """
        return json.loads(self._read(path, **query))

    def _read(self, path: str, **query: Any) -> str:
        parameters = self._client.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(*parameters, _request_timeout=SECONDS)
            data = response.read()
        except self._error as error:
            data, response = b"", error
        except Exception as error:  # whatever urllib3 and its pools raise
            raise NoCluster(f"the API server of context {self.context} gives no answer: {error}") from error
        status = int(response.status or 0)
        if status == 404:
            raise LookupError(path)
        if status >= 400:
            raise NoCluster(f"GET {path} answered {status}: {response.reason}")
        return (data or b"").decode(errors="replace")

    def items(self, path: str, **query: Any) -> list[Json]:
        """Return the objects of a list."""
        found: list[Json] = self.get(path, **query)["items"]
        return found

    def secret(self, name: str) -> dict[str, str]:
        """Return a Secret's values; they are for logging in, and never printed."""
        data = self.get(f"/api/v1/namespaces/{self.namespace}/secrets/{name}").get("data") or {}
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}

    def triggers(self) -> list[Json]:
        """Return the TriggerAuthentications of the namespace."""
        return self._or_none(lambda: self.items(f"{self._keda()}/triggerauthentications")) or []

    def cluster(self, release: str | None, deadline: float) -> Cluster:
        """Return everything of a release, read at once.

        Raises:
            NoCluster: there is none, there are several, or they cannot be read.
        """
        space = f"/namespaces/{self.namespace}"
        selector = "app.kubernetes.io/part-of=stalk"
        if release:
            selector += f",app.kubernetes.io/instance={release}"
        core, apps = f"/api/v1{space}", f"/apis/apps/v1{space}"
        asked: dict[str, Running[Any]] = {
            "deployments": start(lambda: self.items(f"{apps}/deployments", labelSelector=selector)),
            "pods": start(lambda: self.items(f"{core}/pods", labelSelector=selector)),
            "replica_sets": self._wanted("ReplicaSets", f"{apps}/replicasets", labelSelector=selector),
            "services": self._wanted("Services", f"{core}/services"),
            "events": self._wanted("events", f"{core}/events", limit=EVENTS),
            "autoscalers": self._wanted("autoscalers", f"/apis/autoscaling/v2{space}/horizontalpodautoscalers"),
            "policies": self._wanted("NetworkPolicies", f"/apis/networking.k8s.io/v1{space}/networkpolicies"),
            "scaled_objects": start(self._scaled_objects),
            "operators": start(self._operators),
        }
        found: dict[str, Any] = {name: each.result(deadline) for name, each in asked.items()}
        releases = {str(each["metadata"]["labels"].get("app.kubernetes.io/instance")) for each in found["deployments"]}
        if not releases:
            raise NoCluster(f"namespace {self.namespace} of context {self.context} has no release of Stalk")
        if len(releases) > 1:
            raise NoCluster(f"namespace {self.namespace} has several releases; name one: --release {min(releases)}")
        cluster = Cluster(self.namespace, datetime.now(UTC), next(iter(releases)), **found)
        own = {name_of(each) for each in cluster.deployments}
        if cluster.scaled_objects is not None:
            cluster.scaled_objects = [
                each for each in cluster.scaled_objects if each["spec"]["scaleTargetRef"]["name"] in own
            ]
        cluster.autoscalers = [each for each in cluster.autoscalers if each["spec"]["scaleTargetRef"]["name"] in own]
        if cluster.scaled_objects is None:
            # The chart makes the scaler's Secret for a release that KEDA scales, and for no other.
            scaler = f"{selector},app.kubernetes.io/component=scaler"
            secrets = self._wanted("Secrets", f"{core}/secrets", labelSelector=scaler).result(deadline)
            cluster.wants_keda = bool(secrets)
        cluster.last_lines = self._last_lines(cluster, deadline)
        return cluster

    def _keda(self) -> str:
        return f"/apis/keda.sh/v1alpha1/namespaces/{self.namespace}"

    def _scaled_objects(self) -> list[Json] | None:
        try:
            return self._or_none(lambda: self.items(f"{self._keda()}/scaledobjects"))
        except NoCluster as error:
            self.refused["ScaledObjects"] = str(error)
            return []

    def _operators(self) -> list[Json] | None:
        try:
            return self.items("/apis/apps/v1/deployments", labelSelector="app=keda-operator")
        except (NoCluster, LookupError):
            return None

    def _last_lines(self, cluster: Cluster, deadline: float) -> dict[tuple[str, str], str]:
        """Return the last line of each container that ended with an error."""
        asked: dict[tuple[str, str], Running[str]] = {}
        for pod in cluster.pods:
            status = pod.get("status") or {}
            for each in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
                if each.get("restartCount") and len(asked) < MOST_LOGS:
                    key = (name_of(pod), str(each["name"]))
                    asked[key] = start(self._last_line, *key)
        lines = {}
        for key, source in asked.items():
            try:
                lines[key] = source.result(deadline)
            except Exception:  # noqa: S112 (the finding says that there is no log)
                continue
        return lines

    def _last_line(self, pod: str, container: str) -> str:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        text = self._read(path, container=container, previous="true", tailLines=5)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""

    def _or_none(self, read: Callable[[], list[Json]]) -> list[Json] | None:
        """Return a list, or None where the API server does not know the kind."""
        try:
            return read()
        except LookupError:
            return None

    def _wanted(self, what: str, path: str, **query: Any) -> Running[list[Json]]:
        """Read a list that others can do without; what may not be read is noted in `refused`."""

        def read() -> list[Json]:
            try:
                return self.items(path, **query)
            except (NoCluster, LookupError) as error:
                self.refused[what] = str(error)
                return []

        return start(read)
