"""Everything that `stalk doctor` can find, in one table; docs/troubleshooting.md is written from it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CATALOGUE", "LINKS", "Kind", "Link", "Severity"]

Link = Literal["request", "API", "exchange", "queue", "worker", "result", "scaler", "HPA", "pods"]
Severity = Literal["error", "warning"]

LINKS: tuple[Link, ...] = ("request", "API", "exchange", "queue", "worker", "result", "scaler", "HPA", "pods")
"""The way of a task, and of what brings workers for it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that can be wrong: what people see, and why it is so."""

    link: Link
    severity: Severity
    """`error`: tasks do not run or get lost; `warning`: they will, or scaling is not what it was set to be."""
    symptom: str
    cause: str


def _kinds(link: Link, severity: Severity, **texts: tuple[str, str]) -> dict[str, Kind]:
    return {name.replace("_", "-"): Kind(link, severity, *text) for name, text in texts.items()}


# The ids are for scripts and links: they never change their meaning.
CATALOGUE: dict[str, Kind] = {
    **_kinds(
        "request",
        "error",
        task_unknown=(
            "A task stays PENDING for ever, or the API says 404.",
            "The id was never accepted by this system, or its result and the note that it was accepted have expired "
            "(RESULT_EXPIRES_SECONDS, ACCEPTED_EXPIRES_SECONDS). To Celery both look like a task that waits.",
        ),
    ),
    **_kinds(
        "API",
        "error",
        api_not_ready=(
            "The API answers 503, or not at all.",
            "The API says itself that it cannot reach what it depends on, or no API listens there.",
        ),
        setting_invalid=(
            "Processes end right after they have started.",
            "A setting in the environment cannot be read.",
        ),
        broker_dns=(
            "Tasks are not accepted; workers wait for the broker.",
            "The name in BROKER_HOST does not resolve: a typing error, another namespace, or the Service is missing.",
        ),
        broker_unreachable=(
            "Tasks are not accepted; workers wait for the broker.",
            "Nothing accepts connections at BROKER_HOST and BROKER_PORT: wrong port, RabbitMQ is not up, or a "
            "NetworkPolicy or firewall is in the way (a time-out rather than a refusal).",
        ),
        broker_login=(
            "Tasks are not accepted; workers reconnect again and again.",
            "RabbitMQ refuses the user name or password.",
        ),
        broker_vhost=(
            "Tasks are not accepted; workers reconnect again and again.",
            "The virtual host does not exist, or the user has no rights in it.",
        ),
        broker_tls=(
            "Tasks are not accepted; connections to the broker break off at once.",
            "One side speaks TLS and the other does not, or the certificate is not trusted or is for another name.",
        ),
        queue_differs=(
            "Tasks are accepted, and no worker takes them.",
            "The API sends to one queue, and workers consume another.",
        ),
        vhost_differs=(
            "Tasks are accepted, and no worker takes them.",
            "The API and the workers use different virtual hosts of the broker, or different brokers.",
        ),
        exchange_differs=(
            "Tasks are refused or lost, though API and workers name the same queue.",
            "The API publishes to one exchange, and the workers' queue is bound to another.",
        ),
        serializer_differs=(
            "Each task goes to the dead letters, or its result cannot be read.",
            "One side writes with a serializer that the other does not accept.",
        ),
    ),
    **_kinds(
        "exchange",
        "error",
        exchange_missing=(
            "Tasks are refused with 404 NOT_FOUND.",
            "The exchange that the app publishes to is not declared.",
        ),
        exchange_unbound=(
            "Tasks are refused as unroutable, or vanish.",
            "No binding leads from the app's exchange to its queue.",
        ),
        delayed_missing=(
            "Tasks with a countdown are refused or lost; those without one run.",
            "The exchanges and queues of delayed delivery are not declared, or the queue is not bound to them. Celery "
            "lets only workers declare them, and there may be none yet.",
        ),
    ),
    **_kinds(
        "queue",
        "error",
        queue_missing=(
            "Tasks are refused, and the scaler cannot read the queue's length.",
            "The queue is not declared in this virtual host.",
        ),
        queue_arguments=(
            "Workers stop with 406 PRECONDITION_FAILED - inequivalent arg.",
            "The queue was declared before with other arguments; RabbitMQ never changes those of a queue that exists.",
        ),
        queue_no_consumer=(
            "Tasks stay PENDING, and the backlog grows.",
            "The queue has messages and nobody consumes it: no worker runs, or workers run with another -Q.",
        ),
        dead_letters=(
            "Tasks have disappeared without a result.",
            "They are in the dead-letter queue: refused by a worker, not readable, or delivered too often because each "
            "worker that took them died.",
        ),
    ),
    **_kinds(
        "queue",
        "warning",
        prefetch_hoarding=(
            "Some tasks wait although other workers are idle; new pods get nothing to do.",
            "A worker reserves more messages than it has slots for; nobody else can take those.",
        ),
        eta_held=(
            "Workers hold tasks that are not due, and do not go to zero.",
            "Countdown or eta tasks wait inside workers, in a slot of the prefetch window, instead of in the broker. "
            "The queue is a classic one, or its exchange is direct.",
        ),
        consumer_timeout=(
            "Long tasks run twice or never end; workers log PRECONDITION_FAILED - delivery acknowledgement timed out.",
            "RabbitMQ takes a message back when it is not acknowledged within consumer_timeout, and a task takes "
            "longer than that.",
        ),
    ),
    **_kinds(
        "worker",
        "error",
        task_not_registered=(
            "Tasks fail with NotRegistered, or go to the dead letters.",
            "A worker takes tasks from the queue whose code it has not imported.",
        ),
    ),
    **_kinds(
        "worker",
        "warning",
        remote_control_off=(
            "Flower and `celery inspect` show no worker, though tasks run.",
            "A consumer of the queue does not answer remote control: worker_enable_remote_control is off, its "
            "control queue could not be declared, or its pool is solo and busy.",
        ),
        events_off=(
            "Flower shows no worker, though tasks run.",
            "The worker sends no heartbeat events: it was started with --without-heartbeat, its events go to "
            "another exchange, or its pool is solo and busy.",
        ),
    ),
    **_kinds(
        "result",
        "error",
        redis_dns=("Tasks are not accepted, or stay PENDING.", "The name in REDIS_HOST does not resolve."),
        redis_unreachable=(
            "Tasks are not accepted, or stay PENDING.",
            "Nothing accepts connections at REDIS_HOST and REDIS_PORT: wrong port, Redis is not up, or a NetworkPolicy "
            "or firewall is in the way.",
        ),
        redis_login=(
            "Tasks are not accepted, or stay PENDING.",
            "Redis refuses the user name or password.",
        ),
        redis_tls=(
            "Tasks are not accepted, or stay PENDING.",
            "One side speaks TLS and the other does not, or the certificate is not trusted or is for another name.",
        ),
        redis_differs=(
            "Tasks run, and the API shows them PENDING for ever.",
            "The API reads results from one Redis or database, and the workers write them to another.",
        ),
        redis_full=(
            "Tasks run, and their results are not stored.",
            "Redis refuses writes: its memory is full, or it cannot save to disk.",
        ),
    ),
    **_kinds(
        "scaler",
        "error",
        management_login=(
            "KEDA does not scale; Flower's broker page is empty.",
            "RabbitMQ's management API refuses the login: wrong password, or the user lacks the tag monitoring.",
        ),
        management_unreachable=(
            "KEDA does not scale; Flower's broker page is empty.",
            "RabbitMQ's management API cannot be reached.",
        ),
        metrics_off=(
            "Workers stay at zero with messages in the queue, and nothing shows an error.",
            "RabbitMQ's management API has no queue lengths (management.disable_stats, or "
            "management_agent.disable_metrics_collector); KEDA reads a missing length as zero.",
        ),
        keda_absent=(
            "Workers never start; kubectl does not know ScaledObjects.",
            "KEDA is not installed in this cluster, or its CRDs are gone.",
        ),
        keda_down=(
            "Workers do not follow the queue any more.",
            "KEDA is installed, but its operator is not running.",
        ),
        keda_old=(
            "ScaledObjects are refused, or some of their fields are ignored.",
            "KEDA is older than 2.18, the first version that has all that the chart uses.",
        ),
        keda_not_watching=(
            "A ScaledObject has no status, and nothing happens.",
            "KEDA runs, but not for this namespace (its WATCH_NAMESPACE names others).",
        ),
        scaler_missing_queue=(
            "Workers stay as they are; the ScaledObject is not Ready.",
            "The queue that a trigger reads does not exist in the broker, so its length cannot be read.",
        ),
        scaledobject_not_ready=(
            "Workers stay as they are; the ScaledObject is not Ready.",
            "KEDA cannot use the ScaledObject, or cannot read what its triggers name.",
        ),
    ),
    **_kinds(
        "scaler",
        "warning",
        scaledobject_paused=(
            "Workers stay at one number, whatever the queue.",
            "The ScaledObject is paused.",
        ),
        scaledobject_fallback=(
            "Workers stand at the fallback number, whatever the queue.",
            "KEDA could not read the queue several times, and uses the ScaledObject's fallback.",
        ),
        never_zero=(
            "Workers do not go to zero though nothing is to do.",
            "What keeps them is named in the evidence: a trigger that is active, messages that are not acknowledged, "
            "or KEDA, which does not act after the cooldown. The pool's own minimum, or a cron trigger, is no finding.",
        ),
    ),
    **_kinds(
        "HPA",
        "error",
        hpa_unknown_metric=(
            "kubectl get hpa shows <unknown>; replicas do not change.",
            "The autoscaler cannot read its metric.",
        ),
        external_metrics_api=(
            "Pools come to one worker and no further; kubectl get hpa shows <unknown>, and FailedGetExternalMetric.",
            "The APIService v1beta1.external.metrics.k8s.io, through which autoscalers read KEDA's metrics, is absent, "
            "is not Available, or belongs to another metrics adapter: a cluster has room for one.",
        ),
        hpa_conflict=(
            "Replicas jump between two numbers.",
            "Two autoscalers act on the same workload.",
        ),
        hpa_no_cpu_request=(
            "The CPU autoscaler does nothing.",
            "A container has no CPU request, and utilization is measured against it.",
        ),
    ),
    **_kinds(
        "HPA",
        "warning",
        hpa_at_max=(
            "The backlog grows though workers are busy.",
            "The pool is at its maximum of replicas.",
        ),
    ),
    **_kinds(
        "pods",
        "error",
        image_pull=(
            "Pods stay in ErrImagePull or ImagePullBackOff.",
            "The image does not exist under this name, or the node may not pull it.",
        ),
        pod_pending=(
            "Pods stay Pending.",
            "No node takes the pod: too little CPU or memory left, a nodeSelector or affinity that no node has, a "
            "taint, or a volume that cannot be bound.",
        ),
        pod_refused=(
            "A Deployment has fewer pods than it wants, and no pod shows an error.",
            "Kubernetes refuses to create them: a ResourceQuota, a LimitRange, Pod Security or an admission webhook.",
        ),
        pod_config=(
            "Pods stay in CreateContainerConfigError.",
            "A Secret or ConfigMap that the container names does not exist, or lacks the key.",
        ),
        crash_loop=(
            "Pods restart again and again.",
            "The container's program ends with an error soon after its start; its last line says why.",
        ),
        oom_killed=(
            "Workers vanish in the middle of tasks, and the tasks run again.",
            "The container used more memory than its limit, and the kernel killed it.",
        ),
        probe_failing=(
            "Pods run but are not ready, or are restarted.",
            "A probe fails: readiness takes the pod out of its Service, liveness and startup kill the container.",
        ),
        network_policy=(
            "Connections time out, though both sides run.",
            "A NetworkPolicy does not let one component reach another or the cluster's DNS, or KEDA reach RabbitMQ.",
        ),
        stuck_finalizer=(
            "An object, or a whole namespace, stays in Terminating.",
            "A finalizer holds it, and who should remove that is gone or cannot.",
        ),
        namespace_terminating=(
            "Nothing new starts, and the namespace stays in Terminating.",
            "The namespace is being deleted. Kubernetes makes nothing in it any more, and ends it when the last object "
            "is gone: one that a finalizer holds, or an API that does not answer, keeps it.",
        ),
    ),
}
