"""What Kubernetes says of one release, as plain objects: those that `kubectl get -o json` prints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stalk.doctor.paste import Place, values_of

__all__ = [
    "AUTOSCALING",
    "METRICS_API",
    "Cluster",
    "Json",
    "component",
    "condition",
    "environment",
    "happened",
    "is_going",
    "name_of",
    "queues_of_worker",
    "release_of",
    "secret_of",
    "secrets_of",
]

Json = dict[str, Any]

AUTOSCALING = "stalk/autoscaling"
"""Annotation of a worker's Deployment: the mode that the chart has resolved, `keda`, `hpa` or `none`."""

METRICS_API = "v1beta1.external.metrics.k8s.io"
"""The APIService through which autoscalers read KEDA's metrics. A cluster has one, whosever it is."""


@dataclass(slots=True)
class Cluster:
    """The objects of one release in one namespace."""

    namespace: str
    now: datetime
    release: str = ""
    pods: Sequence[Json] = ()
    deployments: Sequence[Json] = ()
    replica_sets: Sequence[Json] = ()
    services: Sequence[Json] = ()
    events: Sequence[Json] = ()
    """Of the whole namespace: warnings for the doctor, those of what scales for `stalk status`."""
    autoscalers: Sequence[Json] = ()
    """Of the whole namespace: what conflicts with the release's own may be anybody's."""
    scaled_objects: Sequence[Json] | None = ()
    """None: the API server does not know the kind."""
    authentications: Sequence[Json] = ()
    """TriggerAuthentications."""
    operators: Sequence[Json] | None = None
    """Deployments of keda-operator in any namespace; None: may not be listed."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """What could not be read, such as `ScaledObjects`, and why: its list is empty here, which tells nothing."""
    metrics_api: Json | None = None
    """The APIService `METRICS_API`; empty: there is none; None: may not be read."""
    space: Json | None = None
    """The namespace itself; None: may not be read."""
    policies: Sequence[Json] = ()
    """NetworkPolicies of the whole namespace."""
    keda_fields: frozenset[str] | None = None
    """Fields that the ScaledObject's CRD has under `spec.fallback`; None: not known."""
    consumer_timeout: tuple[float, str] | None = None
    """Of the bundled broker, in seconds, and where that is said; None: nothing says it."""
    last_lines: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Pod and container: the last line that it logged before it ended."""
    backlog: Mapping[str, int] = field(default_factory=dict)
    """Queue: ready messages."""
    running: Mapping[str, int] = field(default_factory=dict)
    """Queue: tasks that its workers say they run."""

    def events_of(self, each: Json) -> list[Json]:
        """Return an object's events, oldest first."""
        metadata = each["metadata"]
        found = [
            event
            for event in self.events
            if event["involvedObject"].get("name") == metadata["name"]
            and event["involvedObject"].get("uid", metadata.get("uid")) == metadata.get("uid")
        ]
        return sorted(found, key=happened)

    def age(self, timestamp: str | None) -> float | None:
        """Return the seconds since a time as Kubernetes writes it."""
        if not timestamp:
            return None
        return (self.now - datetime.fromisoformat(timestamp.replace("Z", "+00:00")).astimezone(UTC)).total_seconds()

    def objects(self) -> Iterator[tuple[str, Json]]:
        """Yield every object that a finalizer may hold, with its kind as kubectl takes it."""
        for kind, found in (
            ("pod", self.pods),
            ("deployment", self.deployments),
            ("hpa", self.autoscalers),
            ("scaledobject", self.scaled_objects or ()),
            ("triggerauthentication", self.authentications),
        ):
            for each in found:
                yield kind, each

    @property
    def wants_keda(self) -> bool:
        """Tell whether the release has a pool that KEDA should scale: the chart notes it on the Deployment."""
        return any((each["metadata"].get("annotations") or {}).get(AUTOSCALING) == "keda" for each in self.workers())

    @property
    def place(self) -> Place:
        """What lines to paste may name."""
        parts = ("api", "flower", "beat", "worker")  # workers may have no pod, and have fewer rights in the broker
        known = [each for part in parts for each in self.deployments if component(each) == part]
        servers = {component(each): name_of(each) for each in reversed(self.pods)}
        return Place(
            self.namespace,
            self.release,
            name_of(known[0]) if known else "",
            servers.get("rabbitmq", ""),
            servers.get("redis", ""),
            secrets_of(known[0]) if known else {},
        )

    def values(self, deployment: str, tree: Json) -> str:
        """Return a line of values for the part of the release that has this Deployment."""
        found: Json = next((each for each in self.deployments if name_of(each) == deployment), {"metadata": {}})
        return values_of(found["metadata"].get("labels") or {}, tree)

    def workers(self) -> list[Json]:
        """Return the Deployments of worker pools."""
        return [each for each in self.deployments if component(each) == "worker"]

    def replicas(self, deployment: str) -> int:
        """Return how many pods a Deployment wants; 0 for an unknown one."""
        found: Json = next((each for each in self.deployments if name_of(each) == deployment), {})
        return int((found.get("spec") or {}).get("replicas") or 0)

    def queues_of(self, deployment: str) -> list[str]:
        """Return the queues that a Deployment's workers consume."""
        found = next((each for each in self.deployments if name_of(each) == deployment), None)
        return queues_of_worker(found) if found else []


def name_of(each: Json) -> str:
    """Return an object's name."""
    return str(each["metadata"]["name"])


def component(each: Json) -> str:
    """Return the part of the release that an object belongs to."""
    return str((each["metadata"].get("labels") or {}).get("app.kubernetes.io/component", ""))


def release_of(each: Json) -> str | None:
    """Return the release that an object says it is of, Stalk's or another's; None: it says none."""
    release: str | None = (each["metadata"].get("labels") or {}).get("app.kubernetes.io/instance")
    return release


def is_going(each: Json) -> bool:
    """Tell whether an object is being deleted."""
    return "deletionTimestamp" in each["metadata"]


def condition(each: Json, kind: str) -> Json:
    """Return a condition of an object's status, or an empty object."""
    conditions = (each.get("status") or {}).get("conditions") or ()
    found: Json = next((one for one in conditions if one["type"] == kind), {})
    return found


def happened(event: Json) -> str:
    """Return when an event was last seen, as Kubernetes writes it; empty: it does not say."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def queues_of_worker(deployment: Json) -> list[str]:
    """Return what stands behind `-Q` in the command of a worker's Deployment."""
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        for word, following in zip(words, [*words[1:], ""], strict=True):
            if word in ("-Q", "--queues"):
                return [name for name in str(following).split(",") if name]
    return []


def environment(deployment: Json) -> dict[str, str | tuple[str, str]]:
    """Return a Deployment's environment, of its first container: values, or (secret, key) where they come from one."""
    found: dict[str, str | tuple[str, str]] = {}
    for variable in deployment["spec"]["template"]["spec"]["containers"][0].get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if reference:
            found[variable["name"]] = (str(reference["name"]), str(reference["key"]))
        elif "valueFrom" not in variable:
            found[variable["name"]] = str(variable.get("value", ""))
    return found


def secret_of(deployment: Json, path: str) -> tuple[str, str] | None:
    """Return the Secret and its key that a Deployment's first container has as the file `path`; None: it is none."""
    spec = deployment["spec"]["template"]["spec"]
    folder, _, file = path.rpartition("/")
    mounts = [
        each for each in spec["containers"][0].get("volumeMounts") or () if each["mountPath"].rstrip("/") == folder
    ]
    for mount in mounts:
        volume: Json = next((each for each in spec.get("volumes") or () if each["name"] == mount["name"]), {})
        secret = volume.get("secret")
        if secret:
            keys = {one["path"]: one["key"] for one in secret.get("items") or ()}
            return str(secret["secretName"]), str(keys.get(file, file))
    return None


def secrets_of(deployment: Json) -> dict[str, tuple[str, str]]:
    """Return variables of a Deployment, and the Secret and key that each, or the file that it names, comes from."""
    found = {}
    for name, value in environment(deployment).items():
        source = (secret_of(deployment, value) if name.endswith("_CA") else None) if isinstance(value, str) else value
        if source:
            found[name] = source
    return found
