"""`stalk doctor --in-cluster`: as `helm test` runs it, on a real broker and Redis, and an API server with a release."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.harness import Service
from integration.test_doctor import Diagnosis, diagnose, service
from kube.release import ServedRelease

__all__ = ["service"]

CONF = "consumer_timeout = 1800000\n"


@pytest.fixture
def release(tmp_path: Path, service: Service) -> Iterator[ServedRelease]:
    folder = tmp_path / "service-account"
    folder.mkdir()
    server = ServedRelease(folder)
    server.named["configmaps"]["stalk-rabbitmq"] = {"rabbitmq.conf": CONF}
    service.settings |= server.environment
    with server.serving():
        yield server


def examine(service: Service, *words: str) -> Diagnosis:
    """Look at the release that the API server has, and at the queue that this machine's broker has."""
    return diagnose(service, "--in-cluster", "--namespace", "doctor-a", "-q", service.queue, *words)


def condition(release: ServedRelease, kind: str, reason: str, message: str) -> None:
    """Let the ScaledObject say of itself that it is not ready, or in fallback."""
    status = {"Ready": "False", "Fallback": "True"}[kind]
    conditions = release.objects["scaledobjects"][0]["status"]["conditions"]
    conditions[:] = [each for each in conditions if each["type"] != kind]
    conditions.append({"type": kind, "status": status, "reason": reason, "message": message})


def test_nothing_is_wrong(service: Service, release: ServedRelease) -> None:
    found = examine(service)
    assert found.said["findings"] == [], found.text
    assert found.said["unchecked"] == [], found.text
    assert found.code == 0
    assert set(found.said["ok_links"]) == {
        "API", "exchange", "queue", "worker", "result", "scaler", "HPA", "pods",
    }  # fmt: skip


def test_what_kubernetes_says_and_what_servers_say_are_both_judged(service: Service, release: ServedRelease) -> None:
    condition(release, "Ready", "TriggerError", "no host")
    service.settings["REDIS_PASSWORD"] = "wrong"
    found = examine(service)
    assert found.ids == {"scaledobject-not-ready", "redis-login"}, found.text
    assert found.code == 1


@pytest.mark.parametrize(("least", "code"), [("warning", 1), ("error", 0)])
def test_a_warning_fails_only_where_it_shall(service: Service, release: ServedRelease, least: str, code: int) -> None:
    condition(release, "Fallback", "FallbackExists", "At least one trigger is falling back")
    found = examine(service, "--fail-on", least)
    assert found.ids == {"scaledobject-fallback"}, found.text
    assert (found.code, found.said["exit_code"], found.said["ok"]) == (code, code, code == 0)


def test_an_error_fails_in_either_way(service: Service, release: ServedRelease) -> None:
    condition(release, "Ready", "TriggerError", "no host")
    assert examine(service, "--fail-on", "error").code == 1
    assert examine(service).code == 1


def test_what_becomes_right_in_time_is_right(service: Service, release: ServedRelease) -> None:
    """The first look finds the release's API server away, the next one finds everything."""
    release.faults = [500] * 14
    assert examine(service, "--wait", "60").code == 0
    release.faults = [500] * 14
    done = service.run("stalk", "doctor", "--in-cluster", "--namespace", "doctor-a", "-q", service.queue)
    assert done.returncode == 2
    assert done.stderr.startswith("stalk doctor: "), done.stderr


def test_what_stays_wrong_is_told_at_the_end(service: Service, release: ServedRelease) -> None:
    condition(release, "Ready", "TriggerError", "no host")
    before = len(release.requests)
    once = examine(service)
    looked = len(release.requests) - before
    assert examine(service, "--wait", "21").ids == once.ids
    assert len(release.requests) - before >= 3 * looked, "it looked again"


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("events", "events"),
        ("horizontalpodautoscalers", "autoscalers"),
        ("networkpolicies", "NetworkPolicies"),
        ("scaledobjects", "ScaledObjects"),
        ("configmaps", "ConfigMaps"),
        ("triggerauthentications", "TriggerAuthentications"),
        ("namespaces", "the namespace"),
    ],
)
def test_what_the_role_does_not_allow_is_said(service: Service, release: ServedRelease, kind: str, what: str) -> None:
    release.forbidden = {kind}
    found = examine(service)
    assert found.said["findings"] == []
    assert [each["what"] for each in found.said["unchecked"]] == [what], found.text
    assert "403" in found.said["unchecked"][0]["why"]


def test_the_metrics_api_is_asked_for_by_who_may(service: Service, release: ServedRelease) -> None:
    release.metrics_api = None
    assert examine(service).ids == {"external-metrics-api"}
    release.forbidden = {"apiservices"}
    found = examine(service)
    assert (found.code, found.said["unchecked"]) == (0, []), "nobody misses it: the pool is at zero"
    message = "unable to get external metric doctor-a/s0-rabbitmq-test-queue: no matching metrics found"
    release.objects["horizontalpodautoscalers"][0]["status"]["conditions"] = [
        {"type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric", "message": message}
    ]
    found = examine(service)
    assert found.ids == {"hpa-unknown-metric"}, found.text
    (unchecked,) = found.said["unchecked"]
    assert unchecked["what"] == "the API of external metrics"
    assert unchecked["paste"] == "kubectl get apiservice v1beta1.external.metrics.k8s.io"


def test_what_is_left_of_a_release_is_named(service: Service, release: ServedRelease) -> None:
    release.objects["deployments"] = release.objects["pods"] = release.objects["replicasets"] = []
    going = {"deletionTimestamp": "2026-11-25T15:10:00Z"}
    release.objects["scaledobjects"][0]["metadata"] |= going
    found = examine(service)
    assert found.ids == {"stuck-finalizer"}, found.text
    assert "scaledobject stalk-worker-default is being deleted for" in found.evidence
    assert found.code == 1
    release.space = {"metadata": going, "status": {}}
    assert examine(service).ids == {"stuck-finalizer", "namespace-terminating"}


@pytest.mark.parametrize("schemas", ["", "<html>", [], {"components": {"schemas": {}}}], ids=repr)
def test_schemas_that_tell_nothing_are_no_finding(service: Service, release: ServedRelease, schemas: Any) -> None:
    release.openapi = schemas
    found = examine(service)
    assert (found.said["findings"], found.code) == ([], 0), found.text


def test_a_pod_without_a_token_is_a_line(service: Service) -> None:
    done = service.run("stalk", "doctor", "--in-cluster")
    assert done.returncode == 2
    assert done.stderr == (
        "stalk doctor: this runs in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set\n"
    )


def test_consumer_timeout_of_the_bundled_broker(service: Service, release: ServedRelease) -> None:
    """No worker runs: what a pool gives its tasks says enough."""
    release.set_environment("stalk-worker-default", SHUTDOWN_SECONDS="620")
    assert examine(service).ids == set()
    release.named["configmaps"]["stalk-rabbitmq"]["rabbitmq.conf"] = f"{CONF}\nconsumer_timeout = 600000\n"
    found = examine(service)
    assert found.ids == {"consumer-timeout"}, found.text
    assert "lets a task run for 620 s" in found.evidence
    assert "consumer_timeout is 600 s (rabbitmq.conf of ConfigMap stalk-rabbitmq)" in found.evidence
