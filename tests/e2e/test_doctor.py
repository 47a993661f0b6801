"""`stalk doctor` from outside: silent about a release that is well, and right about everything that is broken in it.

What is broken is broken all at once, each in a pool of its own, so that a cluster is needed for minutes only.
"""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from charting.rendering import CHART, merged
from e2e.diagnosis import STALK, diagnose, evidence
from e2e.harness import HELM, Release, submit_many, until, wait_for_all
from integration.harness import Background

pytestmark = pytest.mark.timeout(900)

SMALL: dict[str, Any] = {
    "extraEnv": {"STEPS": "1", "STEP_SECONDS": "20"},
    "workerDefaults": {
        "longestTaskSeconds": 30,
        "autoscaling": {"pollingInterval": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
    },
    "workers": {"default": {"queues": ["test-queue"], "autoscaling": {"max": 1}}},
}
FIXED = {"autoscaling": {"mode": "none"}}
BROKEN_POOLS: dict[str, Any] = {
    "image": {"queues": ["image"], "image": {"tag": "no-such-tag"}, **FIXED},
    "pending": {"queues": ["pending"], "nodeSelector": {"no-such": "node"}, **FIXED},
    "huge": {
        "queues": ["huge"],
        "resources": {"requests": {"cpu": "1000"}, "limits": {"cpu": "1000"}},
        **FIXED,
    },
    "crash": {"queues": ["crash"], "extraArgs": ["--no-such-option"], **FIXED},
    "oom": {
        "queues": ["oom"],
        "resources": {"requests": {"cpu": "10m", "memory": "24Mi"}, "limits": {"cpu": "1", "memory": "24Mi"}},
        **FIXED,
    },
    "secret": {
        "queues": ["secret"],
        "extraEnv": {"TOKEN": {"valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "token"}}}},
        **FIXED,
    },
    "refused": {
        "queues": ["refused"],
        "securityContext": {"privileged": True, "allowPrivilegeEscalation": True},
        **FIXED,
    },
    "unready": {
        "queues": ["unready"],
        "probes": {
            "startup": None,
            "readiness": {"exec": {"command": ["stalk", "probe", "ready", "--max-age", "-1"]}, "periodSeconds": 2},
        },
        **FIXED,
    },
    "apart": {"queues": ["apart"], "extraEnv": {"REDIS_DB": "3", "BROKER_VHOST": "elsewhere"}, **FIXED},
    "paused": {"queues": ["paused"], "autoscaling": {"mode": "keda", "paused": True}},
    "steady": {
        "queues": ["steady"],
        "autoscaling": {
            "mode": "keda",
            "max": 2,
            # Active for as long as the API runs.
            "extraTriggers": [
                {
                    "type": "kubernetes-workload",
                    "metadata": {"podSelector": "app.kubernetes.io/component=api", "value": "1"},
                }
            ],
        },
    },
    "quota": {
        "queues": ["quota"],
        "resources": {"requests": {"stalk.test/widget": "1"}, "limits": {"stalk.test/widget": "1"}},
        **FIXED,
    },
    "unasked": {"queues": ["unasked"], "resources": {"requests": {"cpu": None}, "limits": {"cpu": None}}, **FIXED},
    "lost": {
        "queues": ["lost"],
        "autoscaling": {
            "mode": "keda",
            "fallback": {"enabled": False},
            "extraTriggers": [
                {
                    "type": "rabbitmq",
                    "metadata": {
                        "protocol": "http",
                        "mode": "QueueLength",
                        "value": "1",
                        "queueName": "never-declared",
                        "vhostName": "/",
                    },
                    "authenticationRef": {"name": "stalk-scaler"},
                }
            ],
        },
    },
}


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(SMALL)
    return made


def test_says_nothing_of_a_release_that_is_well(release: Release) -> None:
    until(lambda: release.replicas() == 0)
    # For a moment after that the HPA says of its metric what it said last.
    said = until(lambda: (now := diagnose(release))["findings"] == [] and now, 60)
    assert said["exit_code"] == 0, said
    assert set(said["ok_links"]) == {"API", "exchange", "queue", "worker", "result", "scaler", "HPA", "pods"}


def test_in_a_pod_it_needs_no_token(release: Release) -> None:
    said = json.loads(
        release.kubectl("exec", "deploy/stalk-flower", "--", "stalk", "doctor", "-q", "test-queue", "--json")
    )
    assert said["findings"] == []
    assert {"API", "exchange", "queue", "worker", "result", "scaler"} == set(said["ok_links"])


def test_a_namespace_without_a_release_is_a_line(release: Release) -> None:
    done = subprocess.run(
        [str(STALK), "doctor", "--namespace", "default"],
        env=release.environment,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "namespace default of context" in done.stderr
    assert done.stderr.count("\n") == 1


def test_status_tells_backlog_and_replicas_and_draws_them(release: Release, tmp_path: Path) -> None:
    def status(*words: str) -> str:
        return release.run(STALK, "status", "--namespace", release.namespace, *words)

    lines = status().splitlines()
    assert lines[0].split()[:4] == ["POOL", "QUEUES", "READY", "UNACKED"]
    assert lines[1].split()[:10] == ["default", "test-queue", "0", "0", "0.0", "0", "0", "0", "0", "1"]
    with release.api() as http:
        ids = submit_many(http, 3)
        picture = tmp_path / "status.svg"
        *looks, last = status("--plot", str(picture), "--for", "25", "--interval", "1", "--json").splitlines()
        wait_for_all(http, ids)
    pools = [json.loads(look)["pools"][0] for look in looks]
    assert max(pool["ready"] + pool["unacknowledged"] for pool in pools) == 3
    assert max(pool["wanted"] for pool in pools) == 1
    assert max(pool["replicas"] for pool in pools) == 1
    assert any(pool["active"] == ["s0-rabbitmq-test-queue"] for pool in pools)
    assert any("0 to 1" in pool["last_event"] for pool in pools)
    assert f"drew {len(looks)} looks" in last
    assert "<svg" in picture.read_text()
    for key in ("rabbitmq-password", "rabbitmq-monitor-password", "redis-password"):
        assert release.secret(key) not in "".join(looks)


def test_what_may_not_be_read_is_said(release: Release, tmp_path: Path) -> None:
    """A user who may only look at Deployments and pods is told what is left out, and is not told that all is well."""
    release.kubectl("create", "serviceaccount", "looker")
    release.kubectl("create", "role", "looker", "--verb=get,list", "--resource=pods,deployments.apps")
    release.kubectl("create", "rolebinding", "looker", "--role=looker", f"--serviceaccount={release.namespace}:looker")
    token = release.kubectl("create", "token", "looker").strip()
    config = json.loads(release.run("kubectl", "config", "view", "--minify", "--flatten", "-o", "json"))
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    said = diagnose(Release(release.name, release.namespace, str(file)))
    assert said["exit_code"] == 2, said
    assert {"events", "autoscalers", "ScaledObjects", "NetworkPolicies", "broker, Redis and workers"} <= {
        each["what"] for each in said["unchecked"]
    }
    assert set(said["ok_links"]) == {"pods"}
    assert token not in json.dumps(said)


@pytest.fixture(scope="module")
def broken(release: Release) -> Iterator[Release]:
    """Break everything in the release, and mend what would outlive the namespace."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "held",
            "labels": {"app.kubernetes.io/part-of": "stalk", "app.kubernetes.io/instance": release.name},
            "finalizers": ["stalk.test/held"],
        },
        "spec": {
            "nodeName": "nowhere",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "held",
                    "image": "python:3.13-slim",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
    release.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    release.kubectl("delete", "pod", "held", "--wait=false", "--grace-period=0", "--force")
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-widgets"},
        "spec": {"hard": {"requests.stalk.test/widget": "0"}},
    }
    release.kubectl("apply", "-f", "-", stdin=json.dumps(quota))
    values = merged(release.values, {"workers": BROKEN_POOLS})
    release.run(
        HELM, "upgrade", release.name, CHART, "-n", release.namespace, "--values", "-", stdin=json.dumps(values)
    )
    for name, target, resource in (
        ("second", "steady", "memory"),
        ("blind", "oom", "cpu"),
        ("unmeasured", "unasked", "cpu"),
    ):
        release.kubectl("apply", "-f", "-", stdin=json.dumps(plain_hpa(name, f"stalk-worker-{target}", resource)))
    release.kubectl("patch", "networkpolicy", "stalk-redis", "--type=merge", "-p", '{"spec": {"ingress": []}}')
    yield release
    release.kubectl("patch", "pod", "held", "--type=merge", "-p", '{"metadata": {"finalizers": null}}', check=False)


def plain_hpa(name: str, deployment: str, resource: str) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicas": 1,
            "maxReplicas": 2,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": resource, "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def said(broken: Release) -> Iterator[dict[str, Any]]:
    """Give what the doctor says once it has found everything, or at the end of patience."""
    last: dict[str, Any] = {}

    def load(end: threading.Event) -> None:
        with broken.api() as http:
            submit_many(http, 6)
        end.wait()

    def all_found() -> bool:
        try:
            now = diagnose(broken)
        except AssertionError:  # on a node that also starts twenty broken pods it may once take longer than it promises
            return False
        last.clear()
        last.update(now)
        return all(proof in evidence(last, finding) for finding, proof in EXPECTED)

    with Background(load):
        with contextlib.suppress(AssertionError):  # the tests below say which is missing
            until(all_found, 240)
        yield last


EXPECTED = [
    ("image-pull", "no-such-tag"),
    ("pod-pending", "didn't match Pod's node affinity/selector"),
    ("pod-pending", "Insufficient cpu"),
    ("crash-loop", "No such option"),
    ("oom-killed", "limit 24Mi"),
    ("pod-config", 'secret "no-such-secret" not found'),
    ("pod-refused", "violates PodSecurity"),
    ("pod-refused", "exceeded quota: no-widgets"),
    ("probe-failing", "Readiness probe failed"),
    ("redis-differs", "REDIS_DB is 0 in stalk-api, and 3 in stalk-worker-apart"),
    ("vhost-differs", "BROKER_VHOST is / in stalk-api, and elsewhere in stalk-worker-apart"),
    ("scaledobject-paused", "ScaledObject stalk-worker-paused"),
    ("scaler-missing-queue", "never-declared"),
    ("never-zero", "a trigger is active, and it has others than queues: kubernetes-workload"),
    ("hpa-no-cpu-request", "unmeasured: "),
    ("hpa-conflict", "keda-hpa-stalk-worker-steady, second all scale Deployment stalk-worker-steady"),
    ("hpa-unknown-metric", "blind"),
    ("hpa-at-max", "stalk-worker-default runs 1 of 1 replicas; test-queue: "),
    ("network-policy", "api may not reach redis on port 6379: ingress rules of stalk-redis"),
    ("stuck-finalizer", "pod held is being deleted for"),
]


@pytest.mark.parametrize(("finding", "proof"), EXPECTED, ids=[f"{each[0]}-{at}" for at, each in enumerate(EXPECTED)])
def test_names_what_is_broken(said: dict[str, Any], finding: str, proof: str) -> None:
    found = {each["id"]: each for each in said["findings"]}
    assert finding in found, sorted(found)
    assert proof in evidence(said, finding)


def test_names_nothing_that_is_well(said: dict[str, Any]) -> None:
    names = {each["id"] for each in said["findings"]}
    assert names - {finding for finding, _ in EXPECTED} == set(), said
