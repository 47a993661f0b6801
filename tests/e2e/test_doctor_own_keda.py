"""`stalk doctor` on what KEDA's own operator writes, on an API server of the test's own: real but for the pods.

Broker and Redis are real and on this machine, so that all links but the API's are looked at.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import amqp
import pytest
import yaml

from charting.rendering import CHART, Values
from e2e.diagnosis import evidence, names
from e2e.harness import HELM, until
from e2e.own_cluster import NAMESPACE, Cluster, _timeline, beside, namespace
from integration.harness import Service
from kube import external_metrics, keda, namespaces
from kube.control_plane import missing, running
from local import RabbitMQ, Redis

__all__ = ["_timeline", "namespace"]

pytestmark = pytest.mark.timeout(480)

POOL = "stalk-worker-default"
QUEUE = "test-queue"


class Scaled(NamedTuple):
    """A release whose queue KEDA reads."""

    cluster: Cluster
    service: Service
    folder: Path

    def diagnose(self) -> dict[str, Any]:
        return self.cluster.diagnose()

    def finds(self, *wanted: str) -> dict[str, Any]:
        """Wait until these are found, and return what is said then; nothing else may be."""
        said = until(lambda: set(wanted) <= names(each := self.diagnose()) and each)
        assert names(said) == set(wanted), said
        return dict(said)

    def well(self) -> None:
        """Wait until nothing is wrong."""
        until(lambda: self.diagnose()["findings"] == [])

    def pool(self, autoscaling: Values) -> None:
        """Change the pool's values."""
        self.cluster.install({"workers": {"default": {"autoscaling": autoscaling}}})

    @property
    def replicas(self) -> int:
        """How many pods KEDA wants."""
        return int(self.cluster.kubectl("get", "deployment", POOL, "-o", "jsonpath={.spec.replicas}"))

    def condition(self, kind: str) -> str:
        """What KEDA says of the ScaledObject."""
        path = f"jsonpath={{.status.conditions[?(@.type=={kind!r})].status}}"
        return self.cluster.kubectl("get", "scaledobject", POOL, "-o", path)


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scaled]:
    """Give a release on an API server that no operator looks at yet."""
    if reason := missing(keda.PROGRAM, namespaces.PROGRAM):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("own")
    with (
        RabbitMQ(folder / "rabbitmq") as broker,
        Redis(folder / "redis") as redis,
        running(tmp_path_factory.mktemp("control-plane")) as plane,
        external_metrics.served(plane) as metrics_api,
    ):
        secrets = {"broker": {"password": broker.password}, "results": {"password": redis.password}}
        scaling = {"mode": "keda", "max": 1, "pollingInterval": 1, "cooldownPeriod": 2}
        pool = {"queues": [QUEUE], "autoscaling": scaling, "longestTaskSeconds": 1}
        values = beside(broker, redis.port) | {"workers": {"default": pool}}
        service = Service(folder, broker, redis, {})
        assert service.run("stalk", "topology", "-q", QUEUE).returncode == 0
        cluster = Cluster(plane, values, secrets, metrics_api)
        cluster.install()
        yield Scaled(cluster, service, folder)


@pytest.fixture
def scaled(unwatched: Scaled) -> Iterator[Scaled]:
    """Let the operator run, and begin and end with nothing wrong."""
    with keda.operator(unwatched.cluster.plane, unwatched.folder / "keda"):
        until(lambda: unwatched.condition("Ready") == "True" and unwatched.replicas == 0)
        yield unwatched
        unwatched.cluster.install()
        until(lambda: unwatched.replicas == 0)
        unwatched.well()


def test_nothing_is_wrong(scaled: Scaled) -> None:
    said = scaled.diagnose()
    assert said["findings"] == [], said
    assert said["unchecked"] == [], said
    assert set(said["ok_links"]) == {"API", "exchange", "queue", "worker", "result", "scaler", "HPA", "pods"}


def test_paused(scaled: Scaled) -> None:
    scaled.pool({"paused": True})
    said = scaled.finds("scaledobject-paused")
    assert "autoscaling.keda.sh/paused: true" in evidence(said)
    assert scaled.condition("Paused") == "True", "KEDA says so too"


def without_management(**autoscaling: Any) -> dict[str, Any]:
    """Return values that name a management API which is not there.

    KEDA reads a Secret again when its ScaledObject changes, so that changes as well.
    """
    return {
        "externalRabbitmq": {"management": {"url": "http://127.0.0.1:1"}},
        "workers": {"default": {"autoscaling": {"pollingInterval": 2, **autoscaling}}},
    }


def test_in_fallback_for_the_management_api_is_away(scaled: Scaled) -> None:
    scaled.cluster.install(without_management())
    said = scaled.finds("management-unreachable", "scaledobject-fallback")
    assert f"ScaledObject {POOL}: At least one trigger is falling back" in evidence(said)


def test_not_ready_for_the_management_api_is_away(scaled: Scaled) -> None:
    scaled.cluster.install(without_management(fallback={"enabled": False}))
    said = scaled.finds("management-unreachable", "scaledobject-not-ready")
    assert "connection refused" in evidence(said, "scaledobject-not-ready"), "of KEDA's last event"


def test_a_trigger_that_is_none(scaled: Scaled) -> None:
    scaled.pool({"extraTriggers": [{"type": "no-such-scaler", "metadata": {}}]})
    said = scaled.finds("scaledobject-not-ready")
    assert "no-such-scaler" in evidence(said)


def test_a_queue_that_is_missing(scaled: Scaled) -> None:
    def trigger() -> dict[str, Any]:
        metadata = {"protocol": "http", "mode": "QueueLength", "value": "1", "queueName": "never", "vhostName": "/"}
        return {"type": "rabbitmq", "metadata": metadata, "authenticationRef": {"name": "stalk-scaler"}}

    scaled.pool({"fallback": {"enabled": False}, "extraTriggers": [trigger()]})
    said = scaled.finds("scaler-missing-queue")
    assert "404" in evidence(said)
    assert "never" in evidence(said)


def test_the_preset_for_latency_is_well_while_it_is_idle(scaled: Scaled) -> None:
    preset = CHART.parents[1] / "keda" / "presets" / "latency.yaml"
    scaled.cluster.install(yaml.safe_load(preset.read_text(encoding="utf-8")))
    until(lambda: scaled.replicas == 1)
    said = scaled.diagnose()
    assert (said["findings"], said["unchecked"], said["exit_code"]) == ([], [], 0), said
    assert said["ok_links"]["scaler"] == f"KEDA scales {POOL}: 1 replica (its minimum), 1 to 1"


ALWAYS = {"timezone": "UTC", "start": "0 0 * * *", "end": "59 23 * * *", "desiredReplicas": "1"}


def test_a_cron_trigger_is_well(scaled: Scaled) -> None:
    scaled.pool({"extraTriggers": [{"type": "cron", "metadata": ALWAYS}]})
    until(lambda: scaled.replicas == 1 and scaled.condition("Active") == "True")
    said = scaled.diagnose()
    assert (said["findings"], said["exit_code"]) == ([], 0), said
    assert "1 replica (its cron trigger is active), 0 to 1" in said["ok_links"]["scaler"]


def test_never_zero_for_another_trigger(scaled: Scaled) -> None:
    """It counts pods, and one is there; the cron trigger beside it is not blamed."""
    labels = {"counted": "yes"}
    container = {"name": "counted", "image": "python:3.13-slim"}
    pod = {
        "metadata": {"name": "counted", "namespace": NAMESPACE, "labels": labels},
        "spec": {"containers": [container]},
    }
    scaled.cluster.apply(pod | {"apiVersion": "v1", "kind": "Pod"})
    counting = {"type": "kubernetes-workload", "metadata": {"podSelector": "counted=yes", "value": "1"}}
    scaled.pool({"extraTriggers": [{"type": "cron", "metadata": ALWAYS}, counting]})
    said = scaled.finds("never-zero")
    assert evidence(said) == (
        f"{POOL} has 1 replicas, a minimum of 0 and an empty queue: "
        "a trigger is active, and it has others than queues: kubernetes-workload"
    )
    scaled.cluster.kubectl("delete", "pod", "counted", "--force", "--grace-period=0")


def holding(service: Service) -> Callable[[], None]:
    """Take a message of the queue and say nothing of it; return what ends that."""
    channel = service.channel()
    channel.basic_publish(amqp.Message("nobody's"), "stalk", QUEUE)
    message = until(lambda: channel.basic_get(QUEUE))

    def end() -> None:
        channel.basic_ack(message.delivery_tag)
        channel.connection.close()

    return end


def test_never_zero_for_a_message_that_nobody_acknowledges(scaled: Scaled) -> None:
    end = holding(scaled.service)
    try:
        # Who holds it is a consumer to RabbitMQ, and no worker to anybody.
        said = scaled.finds("never-zero", "remote-control-off", "events-off")
    finally:
        end()
    assert f"1 messages of {QUEUE} are not acknowledged, and no task runs" in evidence(said)


def test_operator_away(unwatched: Scaled) -> None:
    """What it has begun stays: a pool that nobody takes to zero, an object that nobody lets go."""
    cluster = unwatched.cluster
    with keda.operator(cluster.plane, unwatched.folder / "keda"):
        end = holding(unwatched.service)
        until(lambda: unwatched.condition("Active") == "True" and unwatched.replicas == 1)
        end()
        until(lambda: unwatched.condition("Active") == "False" and unwatched.replicas == 0)
        cluster.install({"workers": {"leaving": {"queues": ["leaving"], "autoscaling": {"mode": "keda"}}}})
        assert unwatched.service.run("stalk", "topology", "-q", "leaving").returncode == 0
        finalizers = "jsonpath={.metadata.finalizers}"
        until(lambda: "keda" in cluster.kubectl("get", "scaledobject", "stalk-worker-leaving", "-o", finalizers))
        unwatched.well()
    with cluster.operator(ready=0):
        cluster.kubectl("delete", "scaledobject", "stalk-worker-leaving", "--wait=false")
        said = unwatched.finds("keda-down", "stuck-finalizer")
        assert "keda/keda-operator has no ready pod" in evidence(said)
        assert "scaledobject stalk-worker-leaving is being deleted for" in evidence(said)
        assert "finalizers: finalizer.keda.sh" in evidence(said)
        cluster.kubectl("scale", "deployment", POOL, "--replicas=1")
        said = unwatched.finds("keda-down", "stuck-finalizer", "never-zero")
        assert "longer than the cooldown of 2 s" in evidence(said)
    with keda.operator(cluster.plane, unwatched.folder / "keda"):
        cluster.install()
        unwatched.well()


@pytest.mark.parametrize("told", [True, False], ids=["by its environment", "by a status that stays empty"])
def test_operator_that_watches_another_namespace(unwatched: Scaled, told: bool) -> None:
    cluster = unwatched.cluster
    cluster.patch(NAMESPACE, f"scaledobject/{POOL}", {"metadata": {"finalizers": None}})
    cluster.kubectl("delete", "scaledobject", POOL, "--wait")
    with (
        cluster.operator(watch="other" if told else ""),
        keda.operator(cluster.plane, unwatched.folder / "keda", watch="other"),
    ):
        cluster.install({"workers": {"default": {"autoscaling": {"annotations": {"made": "anew"}}}}})
        said = unwatched.finds("keda-not-watching")
        assert cluster.kubectl("get", "scaledobject", POOL, "-o", "jsonpath={.status}") == "", "it is true"
    if told:
        assert "has WATCH_NAMESPACE=other; the release is in shop" in evidence(said)
    else:
        assert "s old and KEDA has written no status" in evidence(said)


def test_a_release_and_a_namespace_that_do_not_go(unwatched: Scaled) -> None:
    """KEDA is gone first; then `helm uninstall`, and then the namespace, wait for it and do not say so."""
    cluster, plane = unwatched.cluster, unwatched.cluster.plane
    with keda.operator(plane, unwatched.folder / "keda"):
        cluster.install()
        held = ("get", "scaledobjects,triggerauthentications", "-o", "jsonpath={.items[*].metadata.finalizers[*]}")
        until(lambda: cluster.kubectl(*held).split() == ["finalizer.keda.sh"] * 2)
    with cluster.operator(ready=0):
        plane.run(str(HELM), "uninstall", "stalk", "-n", NAMESPACE)
        assert cluster.kubectl("get", "deployments", "-o", "name") == ""
        said = unwatched.finds("keda-down", "stuck-finalizer")
        assert f"scaledobject {POOL} is being deleted for" in evidence(said)
        assert "triggerauthentication stalk-scaler is being deleted for" in evidence(said)
        assert said["exit_code"] == 1
        with namespaces.controller(plane, unwatched.folder):
            plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
            wanted = "finalizer.keda.sh in 2 resource instances"
            said = until(lambda: wanted in evidence(each := unwatched.diagnose()) and each)
        assert names(said) == {"keda-down", "stuck-finalizer", "namespace-terminating"}, said
        assert f"namespace {NAMESPACE} is being deleted for" in evidence(said, "namespace-terminating")
    with namespaces.controller(plane, unwatched.folder), keda.operator(plane, unwatched.folder / "keda"):
        plane.kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=100s")
        cluster.make_namespace()
        cluster.install()
        unwatched.well()
