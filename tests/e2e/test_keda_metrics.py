"""What KEDA's own operator tells Prometheus, beside what the chart's alert and dashboard ask of it.

KEDA runs on an API server of the test's own, and a real Prometheus reads it in both ways: with a monitor that honours
labels, and with one that does not, which makes `exported_namespace` of KEDA's `namespace`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from chart.dashboard import OUTSIDE, queries
from charting.rendering import Object, Values, render
from e2e.harness import until
from e2e.own_cluster import NAMESPACE, Cluster, _timeline, beside, namespace
from integration.prometheus import Prometheus
from kube import external_metrics, keda
from kube.control_plane import missing, running
from local import RabbitMQ

__all__ = ["_timeline", "namespace"]

pytestmark = pytest.mark.timeout(300)

RELEASE, POOL, QUEUE = "stalk", "stalk-worker-default", "test-queue"
WAITING = 3
ALERT = "StalkScalerFailing"
SERVICE = "keda-operator"
LABELS = ("namespace", "exported_namespace")
VALUE, ERRORS = "keda_scaler_metrics_value", "keda_scaled_object_errors_total"
NOWHERE: Values = {
    "externalRabbitmq": {"management": {"url": "http://127.0.0.1:1"}},
    "workers": {"default": {"autoscaling": {"pollingInterval": 2}}},
}
"""A management API that is not there. KEDA reads a Secret again when its ScaledObject changes, so that changes too."""


class Watched(NamedTuple):
    """A release whose queue KEDA reads, and Prometheus, which reads KEDA."""

    cluster: Cluster
    prometheus: Prometheus
    http: httpx.Client
    """Of RabbitMQ's management API."""

    def fires(self) -> bool:
        return ALERT in self.prometheus.firing()

    def answers(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Return what Prometheus says to a query of the dashboard, filled in as Grafana does."""
        filled = {"$namespace": NAMESPACE, "$release": RELEASE, "$queue": QUEUE, "$__rate_interval": "1m"}
        for name, value in filled.items():
            expr = expr.replace(name, value)
        return self.prometheus.query(expr)

    def comes_to(self, expr: str, labels: dict[str, str], value: float) -> None:
        """Wait until a query is answered with this series alone."""
        until(lambda: self.answers(expr) == [(labels, value)], 60)


def of_keda(name: str = "keda_") -> list[str]:
    """Return the dashboard's queries of one of KEDA's metrics, or of all."""
    return [expr for expr in queries() if name in expr]


def monitor() -> Object:
    """Return a monitor of KEDA's operator that reads it twice, once with its own labels."""
    endpoints = [{"port": "metrics", "path": "/metrics", "honorLabels": honours} for honours in (True, False)]
    metadata = {"name": SERVICE, "namespace": "keda"}
    return {"kind": "ServiceMonitor", "metadata": metadata, "spec": {"endpoints": endpoints}}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if reason := missing(keda.PROGRAM, "prometheus"):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("metrics")
    with (
        RabbitMQ(folder / "rabbitmq") as broker,
        httpx.Client(base_url=broker.management_url, auth=(broker.user, broker.password)) as http,
        running(tmp_path_factory.mktemp("control-plane")) as plane,
        external_metrics.served(plane) as metrics_api,
        keda.operator(plane, folder / "keda") as metrics,
    ):
        http.put(f"/api/queues/%2F/{QUEUE}", json={"durable": True}).raise_for_status()
        message = {"routing_key": QUEUE, "payload": "waits", "payload_encoding": "string", "properties": {}}
        for _ in range(WAITING):
            http.post("/api/exchanges/%2F/amq.default/publish", json=message).raise_for_status()
        scaling = {"mode": "keda", "pollingInterval": 1, "fallback": {"enabled": False}}
        values = beside(broker) | {"workers": {"default": {"queues": [QUEUE], "autoscaling": scaling}}}
        secrets = {"broker": {"password": broker.password}, "results": {"password": "unused"}}
        cluster = Cluster(plane, values, secrets, metrics_api)
        cluster.install()
        objects = render(values | {"metrics": {"enabled": True}}, release=RELEASE)
        alerts = [thing for thing in objects if thing["kind"] == "PrometheusRule"]
        assert {thing["metadata"]["namespace"] for thing in alerts} == {NAMESPACE}
        with Prometheus(folder / "prometheus", [*alerts, monitor()], {SERVICE: metrics}) as prometheus:
            yield Watched(cluster, prometheus, http)


def test_what_is_asked_of_keda_is_what_it_has() -> None:
    assert {name for name in OUTSIDE if name.startswith("keda_")} == {VALUE, ERRORS}
    for name in (VALUE, ERRORS):
        assert [sum(f'{name}{{{label}="' in expr for expr in of_keda()) for label in LABELS] == [1, 1]


def test_what_keda_sees_is_on_the_dashboard(watched: Watched) -> None:
    """Also what it sees when nothing waits."""
    seen = {"scaledObject": POOL, "metric": f"s0-rabbitmq-{QUEUE}"}
    for waiting in (WAITING, 0):
        if not waiting:
            watched.http.delete(f"/api/queues/%2F/{QUEUE}/contents").raise_for_status()
        for expr in of_keda(VALUE):
            watched.comes_to(expr, seen, waiting)
    assert not watched.fires()


def test_an_error_of_keda_is_told(watched: Watched) -> None:
    for expr in of_keda(ERRORS):
        assert watched.answers(expr) == [({"scaledObject": POOL}, 0)], (
            "there before the first one, so that a step is seen"
        )
    watched.cluster.install(NOWHERE)
    until(watched.fires, 90)
    (told,) = watched.prometheus.query(f'ALERTS{{alertname="{ALERT}"}}')
    assert told[0]["scaledObject"] == POOL
    for expr in of_keda(ERRORS):
        ((labels, value),) = watched.answers(expr)
        assert labels == {"scaledObject": POOL}
        assert value > 0, expr
