"""The Kubernetes checks of `stalk doctor`, on a release recorded from a real cluster, with one thing changed."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from snippets.pastes import problems
from stalk.doctor.checks import hpa, keda, namespace, network, pods, settings
from stalk.doctor.cluster import AUTOSCALING, METRICS_API, Cluster
from stalk.doctor.findings import Finding

RELEASE: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "release.json").read_text())
NOW = datetime(2026, 11, 25, 15, 18, tzinfo=UTC)
MINUTES_AGO = "2026-11-25T15:10:00Z"
QUEUE = "test-queue"

Change = Callable[[Cluster], None]


def recorded() -> Cluster:
    return Cluster(now=NOW, **copy.deepcopy(RELEASE))


def findings(cluster: Cluster, unacknowledged: dict[str, int] | None = None) -> list[Finding]:
    found = [
        *settings.check(cluster),
        *keda.check(cluster, unacknowledged or {}),
        *hpa.check(cluster, cluster.backlog),
        *pods.check(cluster),
        *namespace.check(cluster),
        *network.check(cluster),
    ]
    assert [(each.paste, why) for each in found for why in problems(each.paste, cluster.namespace)] == []
    return found


def named(cluster: Cluster, part: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in cluster.deployments if each["metadata"]["name"].endswith(part))
    return found


def worker(cluster: Cluster) -> dict[str, Any]:
    return named(cluster, "worker-default")


def scaled_object(cluster: Cluster) -> dict[str, Any]:
    assert cluster.scaled_objects
    return cluster.scaled_objects[0]


def condition(each: dict[str, Any], kind: str, status: str, reason: str, message: str) -> None:
    conditions = each["status"].setdefault("conditions", [])
    conditions[:] = [one for one in conditions if one["type"] != kind]
    conditions.append({"type": kind, "status": status, "reason": reason, "message": message})


def no_crds(cluster: Cluster) -> None:
    cluster.scaled_objects = None
    worker(cluster)["metadata"].setdefault("annotations", {})[AUTOSCALING] = "keda"


def no_operator(cluster: Cluster) -> None:
    cluster.operators = []


def old_operator(cluster: Cluster) -> None:
    assert cluster.operators
    cluster.operators[0]["metadata"]["labels"]["app.kubernetes.io/version"] = "2.14.1"


def elsewhere(cluster: Cluster) -> None:
    assert cluster.operators
    container = cluster.operators[0]["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "WATCH_NAMESPACE", "value": "shop, other"}]


def no_status(cluster: Cluster) -> None:
    scaled_object(cluster)["status"] = {}


def operator_down(cluster: Cluster) -> None:
    assert cluster.operators
    cluster.operators[0]["status"]["readyReplicas"] = 0


def fallback(cluster: Cluster) -> None:
    condition(scaled_object(cluster), "Fallback", "True", "FallbackExists", "At least one trigger is falling back")


def not_ready(cluster: Cluster) -> None:
    condition(scaled_object(cluster), "Ready", "False", "TriggerError", "error parsing rabbitmq metadata: no host")


def missing_queue(cluster: Cluster) -> None:
    condition(
        scaled_object(cluster), "Ready", "False", "TriggerError", "Triggers defined in ScaledObject are not working"
    )
    metadata = scaled_object(cluster)["metadata"]
    cluster.events = [
        {
            "involvedObject": {"name": metadata["name"], "uid": metadata["uid"]},
            "type": "Warning",
            "reason": "KEDAScalerFailed",
            "message": "error requesting rabbitMQ API status: 404 Not Found, from: http://stalk-rabbitmq:15672/api",
            "lastTimestamp": MINUTES_AGO,
        }
    ]


def paused(cluster: Cluster) -> None:
    scaled_object(cluster)["metadata"]["annotations"] = {"autoscaling.keda.sh/paused-replicas": "3"}


def min_one(cluster: Cluster) -> None:
    scaled_object(cluster)["spec"]["minReplicaCount"] = 1
    worker(cluster)["spec"]["replicas"] = 1


def trigger(cluster: Cluster, kind: str, *, active: bool = True) -> None:
    """Add a trigger beside the queue's, and let KEDA say that one of the two is active."""
    each = scaled_object(cluster)
    each["spec"]["triggers"].append({"type": kind, "metadata": {}})
    at = len(each["spec"]["triggers"]) - 1
    condition(each, "Active", "True", "ScalerActive", "active")
    each["status"]["triggersActivity"] |= {
        "s0-rabbitmq-test-queue": {"isActive": not active},
        f"s{at}-{kind}": {"isActive": active},
    }
    worker(cluster)["spec"]["replicas"] = 1


def other_trigger(cluster: Cluster) -> None:
    trigger(cluster, "prometheus")


def above_the_minimum(cluster: Cluster) -> None:
    other_trigger(cluster)
    scaled_object(cluster)["spec"]["minReplicaCount"] = 1
    worker(cluster)["spec"]["replicas"] = 2


def silent_about_triggers(cluster: Cluster) -> None:
    other_trigger(cluster)
    del scaled_object(cluster)["status"]["triggersActivity"]


def after_the_cooldown(cluster: Cluster) -> None:
    scaled_object(cluster)["status"]["lastActiveTime"] = "2026-11-25T13:10:00Z"
    worker(cluster)["spec"]["replicas"] = 1


def unknown_metric(cluster: Cluster) -> None:
    text = "unable to get external metric doctor-a/s0-rabbitmq-test-queue: no matching metrics found"
    condition(cluster.autoscalers[0], "ScalingActive", "False", "FailedGetExternalMetric", text)


def metrics_api(service: dict[str, str] | None, status: str = "True") -> dict[str, Any]:
    said = {"type": "Available", "status": status, "reason": "MissingEndpoints", "message": "no addresses"}
    return {"metadata": {"name": METRICS_API}, "spec": {"service": service}, "status": {"conditions": [said]}}


OF_KEDA = {"namespace": "keda", "name": "keda-operator-metrics-apiserver"}
OF_ANOTHER = {"namespace": "monitoring", "name": "prometheus-adapter"}


def no_metrics_api(cluster: Cluster) -> None:
    cluster.metrics_api = {}


def metrics_api_down(cluster: Cluster) -> None:
    unknown_metric(cluster)
    cluster.metrics_api = metrics_api(OF_KEDA, "False")


def metrics_api_of_another(cluster: Cluster) -> None:
    cluster.metrics_api = metrics_api(OF_ANOTHER)


def metrics_api_of_nobody(cluster: Cluster) -> None:
    cluster.metrics_api = metrics_api(None)


def no_request(cluster: Cluster) -> None:
    text = "failed to get cpu utilization: missing request for cpu in container worker of Pod stalk-worker-default-1"
    condition(cluster.autoscalers[0], "ScalingActive", "False", "FailedGetResourceMetric", text)


def two_autoscalers(cluster: Cluster) -> None:
    other = copy.deepcopy(cluster.autoscalers[0])
    other["metadata"]["name"] = "by-hand"
    cluster.autoscalers = [*cluster.autoscalers, other]


def at_maximum(cluster: Cluster) -> None:
    each = cluster.autoscalers[0]
    each["status"]["currentReplicas"] = each["spec"]["maxReplicas"]
    condition(each, "ScalingLimited", "True", "TooManyReplicas", "the desired replica count is more than the maximum")
    cluster.backlog = {QUEUE: 700}


def over_quota(cluster: Cluster) -> None:
    text = 'pods "x" is forbidden: exceeded quota: small, requested: cpu=100m, used: cpu=1, limited: cpu=1'
    condition(cluster.replica_sets[0], "ReplicaFailure", "True", "FailedCreate", text)


def held_by_keda(cluster: Cluster) -> None:
    scaled_object(cluster)["metadata"] |= {"deletionTimestamp": MINUTES_AGO, "finalizers": ["finalizer.keda.sh"]}


def terminating(cluster: Cluster) -> None:
    text = "Some content in the namespace has finalizers remaining: finalizer.keda.sh in 2 resource instances"
    cluster.space = {
        "metadata": {"name": cluster.namespace, "deletionTimestamp": MINUTES_AGO},
        "status": {
            "phase": "Terminating",
            "conditions": [
                {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All resources discovered"},
                {
                    "type": "NamespaceFinalizersRemaining",
                    "status": "True",
                    "reason": "SomeFinalizersRemain",
                    "message": text,
                },
            ],
        },
    }


def waiting(cluster: Cluster, reason: str, message: str) -> None:
    cluster.pods[0]["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": reason, "message": message}}


def crash(cluster: Cluster) -> None:
    waiting(cluster, "CrashLoopBackOff", "back-off 20s")
    status = cluster.pods[0]["status"]["containerStatuses"][0]
    status |= {"restartCount": 4, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}
    cluster.last_lines = {(cluster.pods[0]["metadata"]["name"], status["name"]): "ImportError: no module shop"}


def out_of_memory(cluster: Cluster) -> None:
    status = cluster.pods[0]["status"]["containerStatuses"][0]
    status |= {"restartCount": 1, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}


def unschedulable(cluster: Cluster) -> None:
    text = "0/1 nodes are available: 1 Insufficient cpu."
    condition(cluster.pods[0], "PodScheduled", "False", "Unschedulable", text)


def unhealthy(cluster: Cluster) -> None:
    pod = cluster.pods[0]
    pod["status"]["containerStatuses"][0]["ready"] = False
    cluster.events = [
        {
            "involvedObject": {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]},
            "reason": "Unhealthy",
            "message": "Readiness probe failed: HTTP probe failed with statuscode: 503",
            "count": 9,
        }
    ]


def killed_for(probe: str) -> Change:
    """Let the kubelet have killed the container for a probe, five times; it runs again, and is ready."""

    def change(cluster: Cluster) -> None:
        ended(cluster, MINUTES_AGO, {"exitCode": 137, "reason": "Error"})
        pod = cluster.pods[0]
        container = pod["status"]["containerStatuses"][0]["name"]
        involved = {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        told = {"lastTimestamp": MINUTES_AGO, "involvedObject": involved, "count": 5}
        failed = f"{probe.capitalize()} probe failed: timed out"
        cluster.events = [
            told | {"reason": "Unhealthy", "message": failed},
            told | {"reason": "Killing", "message": f"Container {container} failed {probe} probe, will be restarted"},
        ]

    return change


def ended(cluster: Cluster, at: str, how: dict[str, Any]) -> None:
    """Let a container, which runs and is ready, have ended before."""
    status = cluster.pods[0]["status"]["containerStatuses"][0]
    assert status["ready"]
    status |= {"restartCount": 2, "lastState": {"terminated": how | {"finishedAt": at}}}


def closed_policy(cluster: Cluster) -> None:
    rabbitmq = next(each for each in cluster.policies if each["metadata"]["name"] == "stalk-rabbitmq")
    rabbitmq["spec"]["ingress"] = [each for each in rabbitmq["spec"]["ingress"] if each["ports"][0]["port"] != 5672]


def set_env(deployment: dict[str, Any], name: str, value: str) -> None:
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    env[:] = [each for each in env if each["name"] != name]
    env.append({"name": name, "value": value})


def other_database(cluster: Cluster) -> None:
    set_env(worker(cluster), "REDIS_DB", "5")


def other_vhost(cluster: Cluster) -> None:
    set_env(worker(cluster), "BROKER_VHOST", "shop")


def other_queue(cluster: Cluster) -> None:
    set_env(named(cluster, "api"), "TASK_QUEUE", "mail")


BREAKS: list[tuple[Change, str, str]] = [
    (no_crds, "keda-absent", "knows no kind ScaledObject"),
    (no_operator, "keda-absent", "no Deployment of keda-operator"),
    (old_operator, "keda-old", "is KEDA 2.14"),
    (elsewhere, "keda-not-watching", "WATCH_NAMESPACE=shop,other; the release is in doctor-a"),
    (no_status, "keda-not-watching", "KEDA has written no status"),
    (operator_down, "keda-down", "keda/keda-operator has no ready pod"),
    (fallback, "scaledobject-fallback", "falling back"),
    (not_ready, "scaledobject-not-ready", "no host"),
    (missing_queue, "scaler-missing-queue", "reads test-queue: error requesting rabbitMQ API status: 404"),
    (paused, "scaledobject-paused", "autoscaling.keda.sh/paused-replicas: 3"),
    (other_trigger, "never-zero", "a minimum of 0 and an empty queue: a trigger is active, and it has others than"),
    (other_trigger, "never-zero", "queues: prometheus"),
    (above_the_minimum, "never-zero", "has 2 replicas, a minimum of 1"),
    (silent_about_triggers, "never-zero", "queues: prometheus"),
    (after_the_cooldown, "never-zero", "longer than the cooldown"),
    (unknown_metric, "hpa-unknown-metric", "FailedGetExternalMetric"),
    (no_metrics_api, "external-metrics-api", f"there is no APIService {METRICS_API}"),
    (
        metrics_api_down,
        "external-metrics-api",
        "of Service keda/keda-operator-metrics-apiserver is not Available: Miss",
    ),
    (metrics_api_down, "external-metrics-api", "keda-hpa-stalk-worker-default: unable to get external metric"),
    (metrics_api_of_another, "external-metrics-api", "belongs to Service monitoring/prometheus-adapter"),
    (metrics_api_of_nobody, "external-metrics-api", "belongs to Service default/kubernetes"),
    (no_request, "hpa-no-cpu-request", "missing request for cpu"),
    (two_autoscalers, "hpa-conflict", "by-hand, keda-hpa-stalk-worker-default all scale"),
    (at_maximum, "hpa-at-max", "10 of 10 replicas; test-queue: 700 ready"),
    (over_quota, "pod-refused", "exceeded quota: small"),
    (held_by_keda, "stuck-finalizer", "finalizers: finalizer.keda.sh"),
    (terminating, "namespace-terminating", "namespace doctor-a is being deleted for 480 s; SomeFinalizersRemain: "),
    (terminating, "namespace-terminating", "finalizer.keda.sh in 2 resource instances"),
    (lambda cluster: waiting(cluster, "ImagePullBackOff", "not found"), "image-pull", "not found"),
    (lambda cluster: waiting(cluster, "CreateContainerConfigError", "no secret x"), "pod-config", "no secret x"),
    (crash, "crash-loop", "4 restarts; last line: ImportError: no module shop"),
    (out_of_memory, "oom-killed", "killed for memory (limit "),
    (unschedulable, "pod-pending", "Insufficient cpu"),
    (unhealthy, "probe-failing", "statuscode: 503 (9 times)"),
    (killed_for("liveness"), "probe-failing", "was killed by its liveness probe (Liveness probe failed: timed out)"),
    (killed_for("startup"), "probe-failing", "was killed by its startup probe (Startup probe failed: timed out)"),
    (closed_policy, "network-policy", "api may not reach rabbitmq on port 5672: ingress rules of stalk-rabbitmq"),
    (other_database, "redis-differs", "REDIS_DB is 0 in stalk-api, and 5 in stalk-worker-default"),
    (other_vhost, "vhost-differs", "BROKER_VHOST is / in stalk-api, and shop in stalk-worker-default"),
    (other_queue, "queue-differs", "TASK_QUEUE is mail in stalk-api; the pools consume test-queue"),
]


def test_nothing_is_wrong_with_the_release_as_it_was_recorded() -> None:
    assert findings(recorded()) == []


@pytest.mark.parametrize(
    ("change", "finding", "proof"), BREAKS, ids=[f"{each[1]}-{at}" for at, each in enumerate(BREAKS)]
)
def test_one_thing_that_is_broken_is_the_one_that_is_found(change: Change, finding: str, proof: str) -> None:
    cluster = recorded()
    change(cluster)
    found = findings(cluster)
    assert {each.id for each in found} == {finding}, found
    assert proof in " ".join(each.evidence for each in found)


def over_tls(cluster: Cluster) -> None:
    for name in ("api", "worker-default"):
        set_env(named(cluster, name), "BROKER_PORT", "5671")
    set_env(named(cluster, "flower"), "BROKER_MANAGEMENT_URL", "https://stalk-rabbitmq.doctor-a.svc:15671")


def test_network_policies_are_asked_for_the_ports_of_tls() -> None:
    cluster = recorded()
    over_tls(cluster)
    found = findings(cluster)
    assert {each.id for each in found} == {"network-policy"}
    assert all("on port 5671" in each.evidence or "on port 15671" in each.evidence for each in found)
    plain = json.dumps(cluster.policies)
    cluster.policies = json.loads(plain.replace("5672", "5671"))
    assert findings(cluster) == []


def test_messages_that_nobody_acknowledges_keep_workers() -> None:
    cluster = recorded()
    worker(cluster)["spec"]["replicas"] = 1
    assert findings(cluster) == []
    found = findings(cluster, {QUEUE: 4})
    assert [each.id for each in found] == ["never-zero"]
    assert "4 messages of test-queue are not acknowledged, and no task runs" in found[0].evidence
    cluster.running = {"another": 1}
    assert findings(cluster, {QUEUE: 4}) == found
    cluster.running = {QUEUE: 4}
    assert findings(cluster, {QUEUE: 4}) == []


def test_a_maximum_with_an_empty_queue_is_no_finding() -> None:
    cluster = recorded()
    at_maximum(cluster)
    cluster.backlog = {QUEUE: 0}
    assert findings(cluster) == []


def test_a_minimum_is_what_somebody_wants() -> None:
    cluster = recorded()
    min_one(cluster)
    assert findings(cluster, {QUEUE: 4}) == []
    assert keda.scale(cluster, scaled_object(cluster)) == "stalk-worker-default: 1 replica (its minimum), 1 to 10"
    scaled_object(cluster)["spec"]["idleReplicaCount"] = 0
    assert [each.id for each in findings(cluster, {QUEUE: 4})] == ["never-zero"]
    assert keda.scale(cluster, scaled_object(cluster)) == "stalk-worker-default: 1 replica, 1 to 10"


def test_a_cron_trigger_is_what_somebody_wants() -> None:
    cluster = recorded()
    trigger(cluster, "cron")
    assert findings(cluster) == []
    assert "1 replica (its cron trigger is active), 0 to 10" in keda.scale(cluster, scaled_object(cluster))
    trigger(cluster, "prometheus", active=False)
    assert findings(cluster) == []
    trigger(cluster, "prometheus")
    assert [each.id for each in findings(cluster)] == ["never-zero"]


def test_a_pool_at_zero_needs_no_reason() -> None:
    cluster = recorded()
    assert keda.scale(cluster, scaled_object(cluster)) == "stalk-worker-default: 0 replicas, 0 to 10"


REBOOT = {"exitCode": 255, "reason": "Unknown"}
OOM = {"exitCode": 137, "reason": "OOMKilled"}


@pytest.mark.parametrize(("how", "finding"), [(REBOOT, "crash-loop"), (OOM, "oom-killed")])
def test_an_end_long_ago_is_over_where_the_container_is_well(how: dict[str, Any], finding: str) -> None:
    cluster = recorded()
    ended(cluster, "2026-11-25T15:03:01Z", how)
    (found,) = findings(cluster)
    assert found.id == finding
    assert "899 s ago, 2 restarts" in found.evidence
    ended(cluster, "2026-11-25T15:02:59Z", how)
    assert findings(cluster) == []
    ended(cluster, "2026-01-01T00:00:00Z", how)
    assert findings(cluster) == []
    cluster.pods[0]["status"]["containerStatuses"][0]["ready"] = False
    assert [each.id for each in findings(cluster)] == [finding]


def test_a_kill_for_a_probe_is_over_after_a_while() -> None:
    cluster = recorded()
    killed_for("liveness")(cluster)
    cluster.pods[0]["status"]["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"] = "2026-11-25T15:02:00Z"
    for event in cluster.events:
        event["lastTimestamp"] = "2026-11-25T15:02:00Z"
    assert findings(cluster) == []


def test_a_pod_that_was_told_to_stop_is_not_killed_for_a_probe() -> None:
    cluster = recorded()
    killed_for("liveness")(cluster)
    ended(cluster, MINUTES_AGO, {"exitCode": 0, "reason": "Completed"})
    cluster.events[1]["message"] = "Stopping container rabbitmq"
    assert findings(cluster) == []


def test_the_metrics_api_is_well_where_a_metric_is_read() -> None:
    cluster = recorded()
    cluster.metrics_api = metrics_api(OF_KEDA)
    assert findings(cluster) == []
    cluster.metrics_api = metrics_api(OF_ANOTHER)
    condition(cluster.autoscalers[0], "ScalingActive", "True", "ValidMetricFound", "the HPA was able to compute")
    assert findings(cluster) == []


@pytest.mark.parametrize("nobody_needs_it", [no_operator, lambda cluster: setattr(cluster, "scaled_objects", [])])
def test_the_metrics_api_is_not_missed_without_keda(nobody_needs_it: Change) -> None:
    cluster = recorded()
    no_metrics_api(cluster)
    nobody_needs_it(cluster)
    assert "external-metrics-api" not in {each.id for each in findings(cluster)}


def test_where_the_metrics_api_is_well_the_autoscaler_says_what_is_wrong() -> None:
    cluster = recorded()
    unknown_metric(cluster)
    cluster.metrics_api = metrics_api(OF_KEDA)
    assert [each.id for each in findings(cluster)] == ["hpa-unknown-metric"]


def test_what_kedas_operator_holds_is_named_and_judged_no_further() -> None:
    """Its pool is gone: that it is not ready, or has no status, is what everybody expects."""
    cluster = recorded()
    held_by_keda(cluster)
    not_ready(cluster)
    cluster.authentications = [
        {"metadata": {"name": "stalk-scaler", "deletionTimestamp": MINUTES_AGO, "finalizers": ["finalizer.keda.sh"]}}
    ]
    operator_down(cluster)
    found = findings(cluster)
    assert [each.id for each in found] == ["keda-down", "stuck-finalizer", "stuck-finalizer"]
    assert "triggerauthentication stalk-scaler is being deleted for 480 s" in found[2].evidence
    assert "patch triggerauthentication stalk-scaler" in found[2].paste
