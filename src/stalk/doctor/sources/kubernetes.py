"""What the Kubernetes API says of a release, with whatever way there is to it."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from stalk.doctor.cluster import METRICS_API, Cluster, Json, component, is_going, name_of, release_of
from stalk.doctor.gather import Late, Running, start

__all__ = ["SECONDS", "Connection", "Kubernetes", "NoCluster", "Response", "consumer_timeout"]

SECONDS = 5.0
"""For one request."""
OBJECTS_SECONDS = 8.0
"""For all objects of a release; what is left of the 15 is for the servers. An answer late is better than none."""

EVENTS_PAGE = 500
MOST_EVENTS = 5000
"""The API server gives them by their objects' names, so what is left out is whatever stands late in the alphabet."""
EVENTS_SECONDS = 3.0
"""When no further page is asked for: the last one may take `SECONDS`."""
WARNINGS = "type=Warning"
KILLS = "type=Normal,reason=Killing"
"""Where the kubelet says which probe has killed a container."""
OF_SCALERS = "involvedObject.kind!=Pod,involvedObject.kind!=ReplicaSet"
"""Pods, and who makes them, have most events; changes of replicas are told of Deployments and what scales them."""

LISTS = {
    "services": "Services",
    "events": "events",
    "autoscalers": "autoscalers",
    "scaled_objects": "ScaledObjects",
    "replica_sets": "ReplicaSets",
    "policies": "NetworkPolicies",
    "authentications": "TriggerAuthentications",
}
OBJECTS = {"space": "the namespace"}
"""What the rest is worth a look without, lists and others, and what it is called there."""

MOST_LOGS = 10
BROKER_FILE = "rabbitmq.conf"


def consumer_timeout(conf: str) -> float | None:
    """Return the consumer_timeout of a rabbitmq.conf in seconds: of several lines the last, as RabbitMQ takes it."""
    found = re.findall(r"^[ \t]*consumer_timeout[ \t]*=[ \t]*(\d+)", conf, re.MULTILINE)
    return int(found[-1]) / 1000 if found else None


@contextmanager
def _in_time(began: float) -> Iterator[float]:
    """Yield until when objects are waited for, and say who was late."""
    try:
        yield began + OBJECTS_SECONDS
    except Late:
        raise Late(f"Kubernetes did not answer within {OBJECTS_SECONDS:g} s; try: kubectl get pods") from None


def _selector(release: str | None) -> str:
    whole = "app.kubernetes.io/part-of=stalk"
    return f"{whole},app.kubernetes.io/instance={release}" if release else whole


def _is_stalks(each: Json, release: str | None) -> bool:
    """Tell whether an object says that it is of a release of Stalk; of any, if `release` names none."""
    stalks = (each["metadata"].get("labels") or {}).get("app.kubernetes.io/part-of") == "stalk"
    return stalks and release in (None, release_of(each))


def _hangs(each: Json) -> bool:
    """Tell whether an object that is no release's, such as a ScaledObject made by hand, is being deleted."""
    return release_of(each) is None and is_going(each)


class NoCluster(Exception):
    """The cluster cannot be asked; the text says why, and what to type."""


class Response(NamedTuple):
    """What the API server said."""

    status: int
    reason: str
    text: str


class Connection(Protocol):
    """A way to an API server: a kubeconfig's, or a pod's service account."""

    @property
    def context(self) -> str:
        """What it is called in a message."""

    @property
    def namespace(self) -> str:
        """Where the release is."""

    def read(self, path: str, query: Mapping[str, str]) -> Response:
        """Send a GET.

        Raises:
            NoCluster: there is no answer.
        """


class Kubernetes:
    """Reads objects as JSON, so that a check works on what `kubectl get -o json` prints.

    Args:
        connection: to the API server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.context, self.namespace = connection.context, connection.namespace
        self.refused: dict[str, str] = {}
        """What could not be read, and why."""
        self.unlisted = "no answer in time"
        """Why KEDA's operator is not known, where it is not."""
        self.cut: dict[str, str] = {}
        """What was read in part, and why."""

    def get(self, path: str, **query: Any) -> Json:
        """Return an object of the API.

        Raises:
            NoCluster: there is no answer, or this user may not.
            LookupError: there is no such thing.
        """
        text = self._read(path, **query)
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):  # a proxy's page; or the schema of a kind that is just going
            raise NoCluster(f"GET {path} answered with something else than an object")
        return found

    def _read(self, path: str, **query: Any) -> str:
        response = self._connection.read(path, {name: str(value) for name, value in query.items()})
        if response.status == 404:
            raise LookupError(f"{path} does not exist")
        if response.status >= 400:
            raise NoCluster(f"GET {path} answered {response.status}: {response.reason}")
        return response.text

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

    def cluster(self, release: str | None, began: float) -> Cluster:
        """Return everything of a release, read at once.

        Args:
            release: its name, where its namespace may have several.
            began: when the look began, as `time.monotonic()`.

        Raises:
            NoCluster: there is none, there are several, or they cannot be read.
            Late: the API server took too long.
        """
        space, selector = f"/namespaces/{self.namespace}", _selector(release)
        others: dict[str, Running[Any]] = {
            "pods": start(lambda: self.items(f"/api/v1{space}/pods", labelSelector=selector)),
            "replica_sets": self._wanted("ReplicaSets", f"/apis/apps/v1{space}/replicasets", labelSelector=selector),
            "policies": self._wanted("NetworkPolicies", f"/apis/networking.k8s.io/v1{space}/networkpolicies"),
            "operators": start(self._operators),
            "authentications": start(self._authentications),
            "metrics_api": start(self._metrics_api),
            "space": start(self._space),
            "keda_fields": start(self._keda_fields),
        }
        with _in_time(began) as deadline:
            cluster = self._found(self._scaling(release, WARNINGS, KILLS) | others, release, deadline)
            broker = start(self._consumer_timeout, cluster)
            cluster.last_lines = self._last_lines(cluster, deadline)
            try:
                cluster.consumer_timeout = broker.result(deadline)
            except Late as error:
                self.refused["ConfigMaps"] = str(error)
        return cluster

    def scaling(self, release: str | None, began: float) -> Cluster:
        """Return what of a release tells how it is scaled and how to reach its servers, for a look every few seconds.

        Arguments and errors are those of `cluster`.
        """
        self.refused, self.cut = {}, {}  # of the look before
        with _in_time(began) as deadline:
            cluster = self._found(self._scaling(release, OF_SCALERS), release, deadline)
        cluster.unread = self.cut | self.refused
        return cluster

    def _scaling(self, release: str | None, *events: str) -> dict[str, Running[Any]]:
        space = f"/namespaces/{self.namespace}"
        deployments = f"/apis/apps/v1{space}/deployments"
        return {
            "deployments": start(lambda: self.items(deployments, labelSelector=_selector(release))),
            "services": self._wanted("Services", f"/api/v1{space}/services"),
            "events": start(self._events, *events),
            "autoscalers": self._wanted("autoscalers", f"/apis/autoscaling/v2{space}/horizontalpodautoscalers"),
            "scaled_objects": start(self._scaled_objects),
        }

    def _found(self, asked: Mapping[str, Running[Any]], release: str | None, deadline: float) -> Cluster:
        """Return the objects asked for, those of other releases left out.

        Of a release that is gone there may be ScaledObjects left, and of all of them a namespace that does not go.
        """
        found: dict[str, Any] = {}
        for name, each in asked.items():
            try:
                found[name] = each.result(deadline)
            except Late as error:
                if name in ("deployments", "pods"):
                    raise
                found[name] = [] if name in LISTS else None
                what = LISTS.get(name) or OBJECTS.get(name)
                if what:
                    self.refused[what] = str(error)
        left = [each for each in found["scaled_objects"] or () if _is_stalks(each, release)]
        releases = {str(release_of(each)) for each in found["deployments"] or left}
        space = found.get("space")
        if not releases and not (space and is_going(space)):
            raise NoCluster(f"namespace {self.namespace} of context {self.context} has no release of Stalk")
        if len(releases) > 1:
            raise NoCluster(f"namespace {self.namespace} has several releases; name one: --release {min(releases)}")
        cluster = Cluster(self.namespace, datetime.now(UTC), next(iter(releases), release or ""), **found)
        own = {name_of(each) for each in cluster.deployments}
        if cluster.scaled_objects is not None:
            cluster.scaled_objects = [
                each
                for each in cluster.scaled_objects
                if each["spec"]["scaleTargetRef"]["name"] in own or _is_stalks(each, cluster.release) or _hangs(each)
            ]
        cluster.autoscalers = [each for each in cluster.autoscalers if each["spec"]["scaleTargetRef"]["name"] in own]
        return cluster

    def _keda(self) -> str:
        return f"/apis/keda.sh/v1alpha1/namespaces/{self.namespace}"

    def _scaled_objects(self) -> list[Json] | None:
        try:
            return self._or_none(lambda: self.items(f"{self._keda()}/scaledobjects"))
        except NoCluster as error:
            self.refused["ScaledObjects"] = str(error)
            return []

    def _events(self, *selectors: str) -> list[Json]:
        """Return the events that any of these field selectors chooses; what is left out is noted in `cut`."""
        end = time.monotonic() + EVENTS_SECONDS
        return [event for selector in selectors for event in self._pages_of_events(selector, end)]

    def _pages_of_events(self, selector: str, end: float) -> list[Json]:
        """Return the events that a field selector chooses, page by page.

        https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
        """
        path = f"/api/v1/namespaces/{self.namespace}/events"
        query: dict[str, Any] = {"fieldSelector": selector, "limit": EVENTS_PAGE}
        found: list[Json] = []
        try:
            while True:
                page = self.get(path, **query)
                found += page["items"]
                query["continue"] = (page.get("metadata") or {}).get("continue")
                if not query["continue"]:
                    return found
                if len(found) >= MOST_EVENTS or time.monotonic() > end:
                    self.cut["events"] = f"only the first {len(found)} were read, in the order of their objects' names"
                    return found
        except (NoCluster, LookupError) as error:
            where = self.cut if found else self.refused
            where["events"] = str(error)
            return found

    def _authentications(self) -> list[Json]:
        try:
            return self.triggers()
        except NoCluster as error:
            self.refused["TriggerAuthentications"] = str(error)
            return []

    def _metrics_api(self) -> Json | None:
        try:
            return self.get(f"/apis/apiregistration.k8s.io/v1/apiservices/{METRICS_API}")
        except LookupError:
            return {}
        except NoCluster:  # whoever may see one namespace only; it is told where it matters
            return None

    def _space(self) -> Json | None:
        try:
            return self.get(f"/api/v1/namespaces/{self.namespace}")
        except (NoCluster, LookupError) as error:
            self.refused["the namespace"] = str(error)
            return None

    def _operators(self) -> list[Json] | None:
        try:
            return self.items("/apis/apps/v1/deployments", labelSelector="app=keda-operator")
        except (NoCluster, LookupError) as error:
            self.unlisted = str(error)
            return None

    def _keda_fields(self) -> frozenset[str] | None:
        """Return the names of the fields of a ScaledObject's fallback; None: the API server does not tell.

        Everybody who may log in may read schemas, where KEDA's own objects are often somebody else's.
        """
        try:
            schemas = self.get("/openapi/v3/apis/keda.sh/v1alpha1")["components"]["schemas"]
            spec = schemas["sh.keda.v1alpha1.ScaledObject"]["properties"]["spec"]
            return frozenset(spec["properties"]["fallback"]["properties"])
        except (NoCluster, LookupError):
            return None

    def _consumer_timeout(self, cluster: Cluster) -> tuple[float, str] | None:
        """Return the bundled broker's consumer_timeout in seconds, and where it stands; None: nothing says it."""
        broker = next((each for each in cluster.pods if component(each) == "rabbitmq"), None)
        for volume in broker["spec"].get("volumes") or () if broker else ():
            name = str((volume.get("configMap") or {}).get("name", ""))
            if not name:
                continue
            try:
                data = self.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{quote(name)}").get("data") or {}
            except (NoCluster, LookupError) as error:
                self.refused["ConfigMaps"] = str(error)
                continue
            found = consumer_timeout(data.get(BROKER_FILE, ""))
            if found is not None:
                return found, f"{BROKER_FILE} of ConfigMap {name}"
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
