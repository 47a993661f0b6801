"""Worker pools. Nothing is set here: a pool's absent key comes from workerDefaults."""

from typing import Annotated, Any, Literal

from pydantic import Field

from chart.models.base import Annotations, Manifest, Model, Port, Positive, Whole
from chart.models.pods import AppPod

__all__ = ["Autoscaling", "Fallback", "Pool", "PoolName", "Probes", "Queue"]

PoolName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$")]
Queue = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:][A-Za-z0-9_.:-]*$", max_length=200)]


class Probes(Model):
    """A container's probes, each as Kubernetes has it; null for none."""

    startup: Manifest | None = Field(None, description="Until it passes once, the others wait.")
    liveness: Manifest | None = Field(None, description="Restarts the container.")
    readiness: Manifest | None = Field(None, description="Takes the pod out of Services and rollouts.")


class Fallback(Model):
    """What KEDA does while it cannot read a queue's length."""

    enabled: bool | None = Field(None, description="Have a fallback; without one the replicas stay as they are.")
    failure_threshold: Positive | None = Field(None, description="Failures in a row before it.")
    replicas: Positive | None = Field(None, description="Pods then.")
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"] | None = Field(
        None, description="How `replicas` and the pods that run are weighed."
    )


class Autoscaling(Model):
    """One switch a pool."""

    mode: Literal["auto", "keda", "hpa", "none"] | None = Field(
        None,
        description="`keda`: by queue length, from zero. `hpa`: by CPU, from one. `none`: a fixed number. "
        "`auto`: `keda` where the cluster has KEDA, else `hpa`.",
    )
    min: Whole | None = Field(None, description="Least pods; with hpa at least 1.")
    max: Positive | None = Field(None, description="Most pods.")
    replicas: Whole | None = Field(None, description="Pods in mode `none`.")
    tasks_per_slot: Positive | None = Field(
        None, description="Queued or running tasks for each of `concurrency` before another pod is asked for."
    )
    cpu_utilization: Positive | None = Field(None, description="CPU target in percent of the request.")
    behavior: Manifest | None = Field(None, description="HorizontalPodAutoscaler `behavior`, in both modes.")
    polling_interval: Positive | None = Field(None, description="Seconds between two looks at the queue.")
    cooldown_period: Whole | None = Field(
        None,
        description="Seconds without a task before zero; terminationGracePeriodSeconds + 30 unless set, and at "
        "least longestTaskSeconds + 60.",
    )
    initial_cooldown_period: Whole | None = Field(None, description="Seconds before the first scale to zero.")
    fallback: Fallback | None = Field(None, description="While the broker cannot be read.")
    cpu_trigger: bool | None = Field(None, description="Scale on CPU too, in the same ScaledObject.")
    extra_triggers: list[Manifest] | None = Field(None, description="More KEDA triggers.")
    paused: bool | None = Field(None, description="KEDA leaves the replicas as they are.")
    paused_replicas: Whole | None = Field(None, description="KEDA goes to this number and stays.")
    annotations: Annotations | None = Field(None, description="On the ScaledObject or HorizontalPodAutoscaler.")


class Pool(AppPod):
    """Workers of the same kind."""

    enabled: bool | None = Field(None, description="Run the pool.")
    app: str | None = Field(None, description="Another Celery app than `celery.app`.")
    queues: list[Queue] | None = Field(None, description="What it works on; one KEDA trigger each.")
    concurrency: Positive | None = Field(None, description="Tasks at a time in one pod; KEDA's target follows.")
    pool: Literal["prefork", "threads", "solo"] | None = Field(None, description="Celery's kind of pool.")
    longest_task_seconds: Positive | None = Field(
        None, description="The longest a task runs. Grace, cooldown and RabbitMQ's consumer_timeout follow."
    )
    interruptible: bool | None = Field(
        None,
        description="Give running tasks back to the queue after softShutdownSeconds, for spot nodes; else they may "
        "take as long as the grace period.",
    )
    soft_shutdown_seconds: Whole | None = Field(
        None, description="Interruptible: how long running tasks may still take after SIGTERM."
    )
    termination_grace_period_seconds: Positive | None = Field(
        None,
        description="From SIGTERM to SIGKILL; longestTaskSeconds + 30 unless set, or softShutdownSeconds + 10 where "
        "the pool is interruptible.",
    )
    extra_args: list[str] | None = Field(None, description="More words for `celery worker`.")
    strategy: Manifest | None = Field(None, description="The Deployment's strategy.")
    probes: Probes | None = Field(None, description="Probes.")
    metrics_port: Port | None = Field(None, description="Port where the worker serves `/metrics`, for a PodMonitor.")
    autoscaling: Autoscaling | None = Field(None, description="The autoscaler.")


def exec_probe(words: list[str], **rest: Any) -> Manifest:
    """Return a probe that runs a command."""
    return {"exec": {"command": words}, **rest}
