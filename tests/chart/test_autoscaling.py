"""One autoscaler a workload, and settings that follow from each other."""

from typing import Any

import pytest

from charting.cases import EXTERNAL
from charting.objects import Pods, find, key, of_kind, pods, references
from charting.rendering import Object, Values, merged, render

AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def pool(name: str = "default", **values: Any) -> dict[str, Any]:
    return {"workers": {name: values}}


def keda(**values: Any) -> dict[str, Any]:
    return pool(autoscaling={"mode": "keda"} | values)


def scaled_object(values: Values) -> Object:
    (found,) = of_kind(render(values), "ScaledObject")
    spec: Object = found["spec"]
    return spec


def worker(values: Values) -> Pods:
    (found,) = (pod for pod in pods(render(values)) if "worker" in str(pod))
    return found


def test_one_autoscaler_and_then_no_replicas(objects: list[Object]) -> None:
    scaled = [f"{use.kind}/{use.name}" for use in references(objects) if use.by.split("/")[0] in AUTOSCALERS]
    owned = [name for name in scaled if not name.startswith("TriggerAuthentication/")]
    assert len(owned) == len(set(owned))
    for thing in of_kind(objects, "Deployment"):
        assert ("replicas" in thing["spec"]) == (key(thing) not in owned), key(thing)
    for thing in of_kind(objects, *AUTOSCALERS):
        assert thing["metadata"]["name"] == thing["spec"]["scaleTargetRef"]["name"]


def test_auto_is_the_hpa_without_keda() -> None:
    objects = render()
    assert of_kind(objects, "ScaledObject", "TriggerAuthentication") == []
    (hpa,) = of_kind(objects, "HorizontalPodAutoscaler")
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (1, 10)
    (metric,) = hpa["spec"]["metrics"]
    assert metric["containerResource"] == {
        "name": "cpu",
        "container": "worker",
        "target": {"type": "Utilization", "averageUtilization": 80},
    }


def test_keda_defaults() -> None:
    spec = scaled_object(keda())
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "demo-stalk-worker-default",
    }
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 10)
    assert spec["fallback"] == {"failureThreshold": 12, "replicas": 1, "behavior": "currentReplicasIfHigher"}
    (trigger,) = spec["triggers"]
    assert trigger == {
        "type": "rabbitmq",
        "metadata": {
            "protocol": "http",
            "mode": "QueueLength",
            "queueName": "test-queue",
            "vhostName": "/",
            "value": "1",
        },
        "authenticationRef": {"name": "demo-stalk-scaler"},
    }


@pytest.mark.parametrize(("concurrency", "per_slot", "target"), [(1, 1, "1"), (4, 1, "4"), (4, 3, "12")])
def test_the_target_follows_from_concurrency(concurrency: int, per_slot: int, target: str) -> None:
    values = merged(keda(tasksPerSlot=per_slot), pool(concurrency=concurrency))
    assert [trigger["metadata"]["value"] for trigger in scaled_object(values)["triggers"]] == [target]
    command = worker(values).spec["containers"][0]["command"]
    assert command[command.index("-c") + 1] == str(concurrency)


def test_a_trigger_for_each_queue() -> None:
    values = merged(keda(), pool(queues=["a", "b"]))
    assert [trigger["metadata"]["queueName"] for trigger in scaled_object(values)["triggers"]] == ["a", "b"]
    command = worker(values).spec["containers"][0]["command"]
    assert command[command.index("-Q") + 1] == "a,b"


def test_more_triggers() -> None:
    cron = {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 8 * * *", "end": "0 9 * * *"}}
    triggers = scaled_object(keda(cpuTrigger=True, cpuUtilization=60, extraTriggers=[cron]))["triggers"]
    assert [trigger["type"] for trigger in triggers] == ["rabbitmq", "cpu", "cron"]
    assert triggers[1]["metadata"] == {"value": "60", "containerName": "worker"}
    assert triggers[1]["metricType"] == "Utilization"
    assert triggers[2] == cron


def test_times_follow_from_the_longest_task() -> None:
    values = merged(keda(), pool(longestTaskSeconds=3600))
    grace = worker(values).spec["terminationGracePeriodSeconds"]
    cooldown = scaled_object(values)["cooldownPeriod"]
    assert 3600 < grace < cooldown
    config = find(render(values), "ConfigMap", "demo-stalk-rabbitmq")["data"]["rabbitmq.conf"]
    (timeout,) = (line.partition("=")[2] for line in config.splitlines() if line.startswith("consumer_timeout"))
    assert int(timeout) > 3600 * 1000


def shutdown_seconds(values: Values) -> int:
    (found,) = (each for each in worker(values).spec["containers"][0]["env"] if each["name"] == "SHUTDOWN_SECONDS")
    return int(found["value"])


def test_a_worker_gives_back_what_runs_before_kubernetes_kills_it() -> None:
    values = pool(longestTaskSeconds=3600)
    assert 3600 < shutdown_seconds(values) < worker(values).spec["terminationGracePeriodSeconds"]
    assert shutdown_seconds(pool(terminationGracePeriodSeconds=1000)) == 990


def test_an_interruptible_pool_needs_no_long_grace() -> None:
    values = merged(keda(), pool(longestTaskSeconds=3600, interruptible=True, softShutdownSeconds=20))
    assert shutdown_seconds(values) == 20
    assert worker(values).spec["terminationGracePeriodSeconds"] == 30
    assert scaled_object(values)["cooldownPeriod"] == 3660, "workers do not go while a task may still run"


def test_pausing() -> None:
    (paused,) = of_kind(render(keda(paused=True, pausedReplicas=0)), "ScaledObject")
    assert paused["metadata"]["annotations"] == {
        "autoscaling.keda.sh/paused": "true",
        "autoscaling.keda.sh/paused-replicas": "0",
    }
    (running,) = of_kind(render(keda()), "ScaledObject")
    assert "annotations" not in running["metadata"]


def test_no_fallback() -> None:
    assert "fallback" not in scaled_object(keda(fallback={"enabled": False}))


@pytest.mark.parametrize("mode", ["keda", "hpa"])
def test_behavior_is_the_same_in_both_modes(mode: str) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 5}}
    (found,) = of_kind(render(keda(mode=mode, behavior=behavior)), *AUTOSCALERS)
    spec = found["spec"]
    if mode == "keda":
        spec = spec["advanced"]["horizontalPodAutoscalerConfig"]
    assert spec["behavior"] == behavior


def test_fixed_replicas() -> None:
    objects = render(keda(mode="none", replicas=3))
    assert of_kind(objects, *AUTOSCALERS) == []
    assert find(objects, "Deployment", "demo-stalk-worker-default")["spec"]["replicas"] == 3


def test_the_scaler_logs_in_as_the_monitor_with_separate_parameters() -> None:
    objects = render(keda())
    (auth,) = of_kind(objects, "TriggerAuthentication")
    targets = {target["parameter"]: (target["name"], target["key"]) for target in auth["spec"]["secretTargetRef"]}
    assert targets == {
        "host": ("demo-stalk-scaler", "host"),
        "username": ("demo-stalk-scaler", "username"),
        "password": ("demo-stalk-credentials", "rabbitmq-monitor-password"),
    }
    secret = find(objects, "Secret", "demo-stalk-scaler")["stringData"]
    assert secret == {"host": "http://demo-stalk-rabbitmq.shop.svc:15672/", "username": "stalk-monitor"}


def test_an_external_scaler_checks_the_ca() -> None:
    (auth,) = of_kind(render(EXTERNAL), "TriggerAuthentication")
    targets = {target["parameter"]: (target["name"], target["key"]) for target in auth["spec"]["secretTargetRef"]}
    assert targets["ca"] == ("my-ca", "ca.crt")
    assert targets["password"] == ("my-monitor", "password")


def test_the_api_has_an_hpa_of_its_own() -> None:
    objects = render({"api": {"autoscaling": {"enabled": True, "min": 2, "max": 7}}})
    hpa = find(objects, "HorizontalPodAutoscaler", "demo-stalk-api")
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (2, 7)
