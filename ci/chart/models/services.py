"""The components that run the app's image, workers apart."""

from typing import Any

from pydantic import Field

from chart.models.base import Key, Manifest, Model, OptionalName, Port, Positive, Quantity, Whole
from chart.models.exposed import HttpRoute, Ingress, PrefixedHttpRoute, PrefixedIngress, Service
from chart.models.pods import AppPod, Image, OpenNetworkRules, PodOptions, Resources
from chart.models.workers import Probes, Queue, exec_probe

__all__ = [
    "Api",
    "ApiAutoscaling",
    "Beat",
    "Flower",
    "FlowerAuth",
    "Persistence",
    "Steward",
    "Topology",
    "http_probe",
    "sizes",
]


def sizes(requests: tuple[str, str], limits: tuple[str, str]) -> Resources:
    """Return requests and limits, each as (cpu, memory)."""
    return Resources(
        requests={"cpu": requests[0], "memory": requests[1]}, limits={"cpu": limits[0], "memory": limits[1]}
    )


def http_probe(path: str, **rest: Any) -> Manifest:
    """Return a probe that asks a page."""
    return {"httpGet": {"path": path, "port": "http"}, **rest}


class Persistence(Model):
    """A volume."""

    enabled: bool = Field(False, description="Keep the data over a restart.")
    size: Quantity = Field("1Gi", description="Size of the volume.")
    storage_class: OptionalName = Field("", description="StorageClass; the cluster's default unless set.")
    access_modes: list[str] = Field(["ReadWriteOnce"], description="Access modes.")
    existing_claim: OptionalName = Field("", description="Your own claim, instead of one that the chart makes.")


class ApiAutoscaling(Model):
    """A CPU HorizontalPodAutoscaler."""

    enabled: bool = Field(False, description="Scale the API by CPU; needs `resources.requests.cpu`.")
    min: Positive = Field(1, description="Least pods.")
    max: Positive = Field(5, description="Most pods.")
    cpu_utilization: Positive = Field(70, description="CPU target in percent of the request.")
    behavior: Manifest = Field({}, description="HorizontalPodAutoscaler `behavior`.")


class Api(AppPod):
    """The HTTP API."""

    enabled: bool = Field(True, description="Run the API.")
    command: list[str] = Field(
        ["hypercorn", "app.main:app", "--workers", "0", "--worker-class", "uvloop", "--bind", "0.0.0.0:$(PORT)"],
        description="What runs, as PID 1. `$(PORT)` is `port`.",
    )
    port: Port = Field(8000, description="Where the command listens; `PORT` in its environment.")
    replicas: Whole = Field(1, description="Pods, unless autoscaling is on.")
    autoscaling: ApiAutoscaling = Field(ApiAutoscaling(), description="By CPU.")
    resources: Resources | None = Field(
        sizes(("100m", "192Mi"), ("1", "512Mi")), description="Requests and limits of the main container."
    )
    drain_seconds: Whole = Field(5, description="How long a pod that was told to stop goes on serving.")
    termination_grace_period_seconds: Positive | None = Field(45, description="From SIGTERM to SIGKILL.")
    strategy: Manifest = Field(
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        description="The Deployment's strategy.",
    )
    probes: Probes = Field(
        Probes(
            startup=http_probe("/healthz", periodSeconds=1, failureThreshold=60),
            liveness=http_probe("/healthz", periodSeconds=10, timeoutSeconds=5, failureThreshold=6),
            readiness=http_probe("/readyz", periodSeconds=5, timeoutSeconds=6, failureThreshold=2),
        ),
        description="Probes.",
    )
    network_policy: OpenNetworkRules | None = Field(OpenNetworkRules(from_=[]), description="Its NetworkPolicy.")
    service: Service = Field(Service(port=80), description="Its Service.")
    ingress: Ingress = Field(Ingress(), description="Its Ingress.")
    http_route: HttpRoute = Field(HttpRoute(), description="Its HTTPRoute.")


class Beat(AppPod):
    """Celery beat."""

    enabled: bool = Field(False, description="Run beat: one pod, never two.")
    extra_args: list[str] = Field([], description="More words for `celery beat`.")
    resources: Resources | None = Field(
        sizes(("20m", "128Mi"), ("500m", "256Mi")), description="Requests and limits of the main container."
    )
    probes: Probes = Field(Probes(), description="Probes.")
    persistence: Persistence = Field(Persistence(size="100Mi"), description="Keeps the time of each last run.")


class FlowerAuth(Model):
    """Flower's login."""

    username: str = Field("flower", pattern=r"^[^:\s]+$", description="User name.")
    existing_secret: OptionalName = Field("", description="Your Secret with the password; generated unless set.")
    password_key: Key = Field("flower-password", description="The key in it.")


class Flower(AppPod):
    """Flower."""

    enabled: bool = Field(True, description="Run Flower.")
    auth: FlowerAuth = Field(FlowerAuth(), description="Basic auth, always.")
    url_prefix: str = Field(
        "", pattern=r"^(/[A-Za-z0-9._~-]+)*$", description="Path prefix, such as `/flower`; Ingress and probes follow."
    )
    max_tasks: Positive = Field(10_000, description="Tasks kept in memory.")
    purge_offline_workers_seconds: Positive = Field(300, description="Forget a worker that has been gone this long.")
    extra_args: list[str] = Field([], description="More Flower options, such as `--read_only=True`.")
    port: Port = Field(5555, description="Where it listens.")
    resources: Resources | None = Field(
        sizes(("50m", "128Mi"), ("500m", "256Mi")), description="Requests and limits of the main container."
    )
    probes: Probes = Field(
        Probes(
            startup={"periodSeconds": 2, "failureThreshold": 60},
            liveness={"periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 5},
            readiness={"periodSeconds": 10, "timeoutSeconds": 5},
        ),
        description="Probes; one without a handler asks `/healthcheck`.",
    )
    persistence: Persistence = Field(Persistence(), description="Keeps what Flower saw.")
    network_policy: OpenNetworkRules | None = Field(OpenNetworkRules(from_=[]), description="Its NetworkPolicy.")
    service: Service = Field(Service(port=5555), description="Its Service.")
    ingress: PrefixedIngress = Field(PrefixedIngress(), description="Its Ingress.")
    http_route: PrefixedHttpRoute = Field(PrefixedHttpRoute(), description="Its HTTPRoute.")


class Topology(PodOptions):
    """The Job that declares queues."""

    image: Image | None = Field(None, description="Another image, or a part of its address.")
    enabled: bool = Field(True, description="Run it. Without it KEDA fails until a worker has declared its queue.")
    declare_app: bool = Field(True, description="Declare the queues of `celery.app` too; false: the pools' alone.")
    extra_queues: list[Queue] = Field([], description="Queues that no pool here works on.")
    timeout_seconds: Positive = Field(300, description="How long one try waits for the broker.")
    backoff_limit: Whole = Field(20, description="Tries.")
    resources: Resources | None = Field(
        sizes(("50m", "128Mi"), ("1", "256Mi")), description="Requests and limits of the main container."
    )


class Steward(PodOptions):
    """Marks busy workers' pods, so that a ReplicaSet that shrinks takes idle ones first."""

    enabled: bool = Field(True, description="Run it, where a pool may have more than one pod.")
    resources: Resources | None = Field(
        sizes(("20m", "64Mi"), ("250m", "128Mi")), description="Requests and limits of the main container."
    )
    probes: Probes = Field(
        Probes(
            startup=exec_probe(["stalk", "probe", "live"], periodSeconds=2, timeoutSeconds=10, failureThreshold=60),
            liveness=exec_probe(
                ["stalk", "probe", "live", "--max-age", "120"], periodSeconds=30, timeoutSeconds=10, failureThreshold=4
            ),
            readiness=exec_probe(["stalk", "probe", "ready"], periodSeconds=15, timeoutSeconds=10, failureThreshold=2),
        ),
        description="Probes.",
    )
