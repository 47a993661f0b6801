"""The whole of values.yaml, with its defaults."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from chart.models.base import Annotations, Labels, Manifest, MetricLabels, Model, Port, Positive, Whole
from chart.models.pods import (
    Budget,
    EnvMap,
    NetworkRules,
    PodDefaults,
    Resources,
    SharedServiceAccount,
    WholeImage,
)
from chart.models.servers import ExternalRabbitmq, ExternalRedis, Rabbitmq, Redis
from chart.models.services import Api, Beat, Flower, Steward, Topology, sizes
from chart.models.workers import Autoscaling, Fallback, Pool, PoolName, Probes, exec_probe
from stalk.settings import LogLevel

__all__ = [
    "Celery",
    "Credentials",
    "Dashboard",
    "Doctor",
    "Exporter",
    "Global",
    "HelmTest",
    "Keda",
    "Metrics",
    "NetworkPolicy",
    "Rules",
    "Toolkit",
    "Values",
]

NameOverride = Annotated[str, Field(pattern=r"^([a-z]([-a-z0-9]*[a-z0-9])?)?$", max_length=53)]
Module = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_.]*)?$")]
OUR_IMAGE = WholeImage(registry="ghcr.io", repository="stalk-celery/stalk")

POD_DEFAULTS = PodDefaults(
    pod_labels={},
    pod_annotations={},
    node_selector={},
    tolerations=[],
    affinity={},
    topology_spread_constraints=[
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    priority_class_name="",
    runtime_class_name="",
    pod_security_context={
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    security_context={
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    service_account=SharedServiceAccount(create=True, annotations={}),
    pdb=Budget(enabled=True, max_unavailable=1),
    network_policy=NetworkRules(extra_ingress=[], extra_egress=[]),
)

WORKER_DEFAULTS = Pool(
    enabled=True,
    queues=[],
    concurrency=1,
    pool="prefork",
    longest_task_seconds=600,
    interruptible=False,
    soft_shutdown_seconds=15,
    extra_args=[],
    resources=sizes(("100m", "256Mi"), ("1", "512Mi")),
    strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
    probes=Probes(
        startup=exec_probe(["stalk", "probe", "ready"], periodSeconds=2, timeoutSeconds=10, failureThreshold=300),
        liveness=exec_probe(
            ["stalk", "probe", "live", "--max-age", "300"], periodSeconds=30, timeoutSeconds=10, failureThreshold=4
        ),
        readiness=exec_probe(["stalk", "probe", "ready"], periodSeconds=15, timeoutSeconds=10, failureThreshold=2),
    ),
    autoscaling=Autoscaling(
        mode="auto",
        min=0,
        max=10,
        replicas=1,
        tasks_per_slot=1,
        cpu_utilization=80,
        behavior={},
        polling_interval=5,
        initial_cooldown_period=0,
        fallback=Fallback(enabled=True, failure_threshold=12, replicas=1, behavior="currentReplicasIfHigher"),
        cpu_trigger=False,
        extra_triggers=[],
        paused=False,
        annotations={},
    ),
)


class Global(Model):
    """Shared with other charts when this one is a part of one."""

    model_config = ConfigDict(extra="allow")

    image_registry: str = Field("", description="A mirror: replaces the registry of every image.")
    image_pull_secrets: list[Manifest] = Field([], description="`[{name: regcred}]`, for every pod.")


class Toolkit(Model):
    """The chart's own small programs."""

    image: WholeImage = Field(OUR_IMAGE, description="An image with `stalk`.")
    resources: Resources = Field(
        sizes(("20m", "64Mi"), ("500m", "256Mi")), description="Requests and limits of its containers."
    )


class Celery(Model):
    """The Celery app."""

    app: Module = Field("app.worker.celery_worker:celery_app", description="`module:attr`, for `celery -A`.")
    log_level: LogLevel = Field("INFO", description="Least level.")
    log_format: Literal["json", "text"] = Field("json", description="For collectors, or for people.")
    result_expires_seconds: Positive = Field(86_400, description="How long results are kept.")
    delivery_limit: Positive = Field(20, description="Deliveries of one task before it goes to the dead-letter queue.")


class Credentials(Model):
    """Passwords of the bundled servers' users and of Flower's page."""

    generation: Positive = Field(
        1,
        description="One more changes all passwords at the next `helm upgrade`; the ones before stay valid until the "
        "next change. From 2 on, the keys of a Secret of yours end in it too: `redis-password-2`.",
    )


class Doctor(Model):
    """`stalk doctor` as a part of `helm test`: an error makes it fail, a warning does not."""

    enabled: bool = Field(
        True,
        description="Run it, where `podDefaults.serviceAccount.create` allows it an account of its own. While it runs, "
        "that may list the namespace's pods, events and what makes them.",
    )
    wait_seconds: Whole = Field(120, description="How long what is wrong may take to become right.")


class HelmTest(Model):
    """`helm test`."""

    doctor: Doctor = Field(Doctor(), description="Looks for what is wrong, before a task is sent.")


class Keda(Model):
    """Where KEDA is."""

    namespace: str = Field("keda", min_length=1, description="Its namespace; may read the bundled RabbitMQ.")


class NetworkPolicy(Model):
    """NetworkPolicies, one a component."""

    enabled: bool = Field(True, description="Make them.")
    kube_api_ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        [443, 6443], description="Where credentials Job, steward and doctor reach the Kubernetes API."
    )
    metrics_from: list[Manifest] = Field([], description="Peers that may scrape; none: any namespace.")


class Exporter(Model):
    """Tells what no other exporter knows."""

    enabled: bool = Field(True, description="Run it: how long tasks wait, and whether broker and Redis let an app in.")
    port: Port = Field(9808, description="Where it listens.")


class Rules(Model):
    """A PrometheusRule with alerts."""

    enabled: bool = Field(True, description="Make it.")
    labels: MetricLabels = Field({}, description="Labels of each alert, for Alertmanager's routes.")
    runbook_url: str = Field(
        "https://github.com/stalk-celery/stalk/blob/main/docs/runbooks",
        pattern=r"^https?://\S+$",
        description="Where the pages are that alerts point to.",
    )
    disabled: list[str] = Field([], description="Names of alerts to leave out.")
    workers_start_seconds: Positive = Field(
        300, description="How long a worker, and a node for it, may take to come from zero."
    )
    wait_seconds: int = Field(
        300,
        ge=1,
        le=3599,
        description="How long one task in twenty may wait for a worker; an hour is all that is told.",
    )
    failure_ratio: float = Field(0.1, gt=0, le=1, description="How many of the tasks that end may have failed.")


class Dashboard(Model):
    """A dashboard for Grafana."""

    enabled: bool = Field(True, description="Make a ConfigMap with it.")
    labels: Labels = Field({"grafana_dashboard": "1"}, description="What Grafana's sidecar selects it by.")
    annotations: Annotations = Field({}, description="Annotations, such as `grafana_folder: Celery`.")


class Metrics(Model):
    """Prometheus Operator."""

    enabled: bool = Field(
        False, description="Make ServiceMonitors, a PodMonitor for pools with a metricsPort, and what follows."
    )
    labels: Labels = Field({}, description="Labels by which your Prometheus selects monitors and rules.")
    interval: str = Field("30s", pattern=r"^[0-9]+(ms|s|m|h)$", description="How often it scrapes.")
    exporter: Exporter = Field(Exporter(), description="The exporter.")
    rules: Rules = Field(Rules(), description="Alerts.")
    dashboard: Dashboard = Field(Dashboard(), description="The dashboard.")


class Values(Model):
    """Every value of the chart."""

    name_override: NameOverride = Field("", description="In place of the chart's name in names and labels.")
    fullname_override: NameOverride = Field("", description="In place of release and chart name in names.")
    common_labels: Labels = Field({}, description="Labels on every object; in no selector.")
    global_: Global = Field(Global(), alias="global", description="Shared with other charts.")
    image: WholeImage = Field(OUR_IMAGE, description="The app's image: your app and `stalk-celery[flower]`.")
    toolkit: Toolkit = Field(
        Toolkit(), description="The chart's own programs: credentials, users, steward, `helm test`."
    )
    celery: Celery = Field(Celery(), description="The Celery app.")
    extra_env: EnvMap = Field({}, description='Every container of the app: `NAME: "text"` or `NAME: {valueFrom: …}`.')
    extra_env_from: list[Manifest] = Field([], description="Every container of the app: whole Secrets and ConfigMaps.")
    pod_defaults: PodDefaults = Field(POD_DEFAULTS, description="What every pod has; each component may differ.")
    api: Api = Field(Api(), description="The HTTP API.")
    worker_defaults: Pool = Field(WORKER_DEFAULTS, description="What every pool starts from.")
    workers: dict[PoolName, Pool | None] = Field(
        {"default": Pool(queues=["test-queue"])}, description="Pools by name, each over workerDefaults; null for none."
    )
    topology: Topology = Field(Topology(), description="Declares queues before any worker exists.")
    steward: Steward = Field(Steward(), description="When replicas go down, idle pods go first.")
    beat: Beat = Field(Beat(), description="Periodic tasks.")
    flower: Flower = Field(Flower(), description="Flower.")
    rabbitmq: Rabbitmq = Field(Rabbitmq(), description="The bundled broker.")
    external_rabbitmq: ExternalRabbitmq = Field(ExternalRabbitmq(), description="Your broker.")
    redis: Redis = Field(Redis(), description="The bundled result store.")
    external_redis: ExternalRedis = Field(ExternalRedis(), description="Your Redis or Valkey.")
    credentials: Credentials = Field(Credentials(), description="Generations of passwords.")
    test: HelmTest = Field(HelmTest(), description="`helm test`.")
    keda: Keda = Field(Keda(), description="Where KEDA is.")
    network_policy: NetworkPolicy = Field(NetworkPolicy(), description="NetworkPolicies.")
    metrics: Metrics = Field(Metrics(), description="Prometheus Operator.")
    extra_objects: list[Manifest] = Field([], description="Whole manifests; `{{ }}` works in them.")
