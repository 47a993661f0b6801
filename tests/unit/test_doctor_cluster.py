"""The Kubernetes checks of `stalk doctor`, on a release recorded from a real cluster, with one thing changed."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from snippets.pastes import problems
from stalk.doctor.checks import hpa, keda, network, pods, settings
from stalk.doctor.cluster import AUTOSCALING, Cluster
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


def other_trigger(cluster: Cluster) -> None:
    each = scaled_object(cluster)
    each["spec"]["triggers"].append({"type": "cron", "metadata": {}})
    condition(each, "Active", "True", "ScalerActive", "active")
    worker(cluster)["spec"]["replicas"] = 1


def after_the_cooldown(cluster: Cluster) -> None:
    scaled_object(cluster)["status"]["lastActiveTime"] = "2026-11-25T13:10:00Z"
    worker(cluster)["spec"]["replicas"] = 1


def unknown_metric(cluster: Cluster) -> None:
    text = "unable to get external metric doctor-a/s0-rabbitmq-test-queue: no matching metrics found"
    condition(cluster.autoscalers[0], "ScalingActive", "False", "FailedGetExternalMetric", text)


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
    (min_one, "never-zero", "minReplicaCount is 1"),
    (other_trigger, "never-zero", "cron"),
    (after_the_cooldown, "never-zero", "longer than the cooldown"),
    (unknown_metric, "hpa-unknown-metric", "FailedGetExternalMetric"),
    (no_request, "hpa-no-cpu-request", "missing request for cpu"),
    (two_autoscalers, "hpa-conflict", "by-hand, keda-hpa-stalk-worker-default all scale"),
    (at_maximum, "hpa-at-max", "10 of 10 replicas; test-queue: 700 ready"),
    (over_quota, "pod-refused", "exceeded quota: small"),
    (held_by_keda, "stuck-finalizer", "finalizers: finalizer.keda.sh"),
    (lambda cluster: waiting(cluster, "ImagePullBackOff", "not found"), "image-pull", "not found"),
    (lambda cluster: waiting(cluster, "CreateContainerConfigError", "no secret x"), "pod-config", "no secret x"),
    (crash, "crash-loop", "4 restarts; last line: ImportError: no module shop"),
    (out_of_memory, "oom-killed", "killed for memory (limit "),
    (unschedulable, "pod-pending", "Insufficient cpu"),
    (unhealthy, "probe-failing", "statuscode: 503 (9 times)"),
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
