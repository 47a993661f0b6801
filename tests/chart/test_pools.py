"""How a pool becomes whole: podDefaults, the app, workerDefaults, the pool."""

from itertools import pairwise
from typing import Any

from charting.objects import Pods, pods
from charting.rendering import Values, merged, render


def worker(values: Values, name: str = "default") -> Pods:
    (found,) = (pod for pod in pods(render(values)) if str(pod) == f"Deployment/demo-stalk-worker-{name}")
    return found


def env(pod: Pods) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in pod.spec["containers"][0]["env"]}


def test_maps_merge_key_by_key_and_the_nearest_wins() -> None:
    values = {
        "extraEnv": {"A": "app", "B": "app", "C": "app"},
        "workerDefaults": {"extraEnv": {"B": "workers", "C": "workers"}},
        "workers": {"default": {"extraEnv": {"C": "pool", "LOG_LEVEL": "DEBUG"}}},
    }
    found = env(worker(values))
    assert (found["A"], found["B"], found["C"], found["LOG_LEVEL"]) == ("app", "workers", "pool", "DEBUG")


def test_lists_are_replaced() -> None:
    values = {
        "podDefaults": {"tolerations": [{"key": "a"}]},
        "workers": {"default": {"tolerations": [{"key": "b"}]}, "other": {"queues": ["other"]}},
    }
    assert worker(values).spec["tolerations"] == [{"key": "b"}]
    assert worker(values, "other").spec["tolerations"] == [{"key": "a"}]


def test_null_removes_what_a_layer_below_says() -> None:
    values = {
        "workerDefaults": {"extraEnv": {"A": "1"}},
        "workers": {"default": {"probes": {"startup": None}, "extraEnv": {"A": None}}},
    }
    pod = worker(values)
    assert "startupProbe" not in pod.spec["containers"][0]
    assert "livenessProbe" in pod.spec["containers"][0]
    assert "A" not in env(pod)


def test_a_pool_overrides_everything() -> None:
    own: dict[str, Any] = {
        "queues": ["gpu"],
        "image": {"tag": "cuda"},
        "resources": {"limits": {"memory": "9Gi"}},
        "nodeSelector": {"gpu": "yes"},
        "priorityClassName": "high",
        "pool": "threads",
        "extraArgs": ["--max-tasks-per-child=5"],
        "podSecurityContext": {"runAsUser": 5},
        "serviceAccount": {"create": False, "name": "mine"},
        "terminationGracePeriodSeconds": 900,
    }
    pod = worker({"workers": {"gpu": own}}, "gpu")
    container = pod.spec["containers"][0]
    assert container["image"] == "ghcr.io/stalk-celery/stalk:cuda"
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "9Gi"}
    assert pod.spec["nodeSelector"] == {"gpu": "yes"}
    assert pod.spec["priorityClassName"] == "high"
    assert pod.spec["securityContext"]["runAsUser"] == 5
    assert pod.spec["securityContext"]["runAsNonRoot"] is True
    assert pod.spec["serviceAccountName"] == "mine"
    assert pod.spec["terminationGracePeriodSeconds"] == 900
    command = container["command"]
    assert command[command.index("-P") + 1] == "threads"
    assert command[-1] == "--max-tasks-per-child=5"
    assert {"celery", "worker", "gpu@%h", "--without-mingle", "--without-gossip"} <= set(command)


def test_pools_do_not_touch_each_other() -> None:
    alone = worker({"workers": {"other": {"queues": ["other"]}}}, "default").spec
    beside = merged({"workers": {"other": {"queues": ["other"], "extraEnv": {"A": "1"}, "concurrency": 9}}})
    assert worker(beside, "default").spec == alone


def test_celery_is_pid_1() -> None:
    assert worker({}).spec["containers"][0]["command"][0] == "celery"


def test_the_topology_job_knows_every_queue() -> None:
    values = {
        "workers": {"gpu": {"queues": ["gpu", "test-queue"]}, "off": {"enabled": False, "queues": ["off"]}},
        "topology": {"extraQueues": ["later"]},
    }
    (job,) = (pod for pod in pods(render(values)) if "Job/demo-stalk-topology" in str(pod))
    command = job.spec["containers"][0]["command"]
    queues = [after for word, after in pairwise(command) if word == "--queue"]
    assert queues == ["gpu", "later", "test-queue"]


def test_another_topology_is_another_job() -> None:
    names = {
        str(pod)
        for queues in (["a"], ["a", "b"])
        for pod in pods(render({"workers": {"default": {"queues": queues}}}))
        if "topology" in str(pod)
    }
    assert len(names) == 2, "a Job cannot be changed"
