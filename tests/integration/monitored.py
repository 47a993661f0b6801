"""The service with all that reads it: RabbitMQ's metrics, exporter, Flower, and a real Prometheus."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from charting.rendering import RELEASE, Object, render
from integration.harness import Service, eventually
from integration.prometheus import Prometheus
from local import RabbitMQ, Redis, free_port

__all__ = ["FLOWER_LOGIN", "Monitored", "monitored"]

FLOWER_LOGIN = "user", "test"


@dataclass
class Monitored:
    """A running service, whom Prometheus reads as the chart's monitors say."""

    service: Service
    prometheus: Prometheus
    objects: list[Object]
    """What the chart renders for it."""
    flower: str
    """URL."""


@contextmanager
def monitored(
    folder: Path, settings: Mapping[str, str], queue: str = "", address: str = "127.0.0.1"
) -> Iterator[Monitored]:
    """Run API, exporter, Flower and Prometheus on a broker and a Redis of their own; workers are for others to start.

    Args:
        folder: for data and logs.
        settings: environment variables of the service.
        queue: of its tasks; a new name unless given.
        address: that Prometheus listens on.
    """
    broker = RabbitMQ(folder / "rabbitmq", vhost="a/b")
    port = {name: free_port() for name in ("rabbitmq", "flower", "exporter")}
    broker.plugins.append("rabbitmq_prometheus")
    broker.extra_config += ["prometheus.tcp.ip = 127.0.0.1", f"prometheus.tcp.port = {port['rabbitmq']}"]
    with broker, Redis(folder / "redis") as redis:
        service = Service(folder, broker, redis, dict(settings))
        service.queue = queue or service.queue
        try:
            api = service.api().removeprefix("http://")
            app = ("-A", "app.worker.celery_worker")
            exporter = service.start(
                "exporter", "stalk", "exporter", f"--port={port['exporter']}", f"--queue={service.queue}"
            )
            flower = service.start(
                "flower",
                *("celery", *app, "flower", f"--port={port['flower']}", "--address=127.0.0.1"),
                env={"FLOWER_BASIC_AUTH": ":".join(FLOWER_LOGIN)},
            )
            for name, process in (("exporter", exporter), ("flower", flower)):
                _wait_for(service, name, process, port[name])
            values: dict[str, Any] = {
                "metrics": {"enabled": True},
                "rabbitmq": {"vhost": broker.vhost},
                "workers": {"default": {"queues": [service.queue], "autoscaling": {"mode": "keda"}}},
            }
            objects = render(values)
            addresses = {f"{RELEASE}-stalk-{name}": f"127.0.0.1:{at}" for name, at in port.items()}
            addresses[f"{RELEASE}-stalk-api"] = api
            with Prometheus(folder / "prometheus", objects, addresses, address) as prometheus:
                yield Monitored(service, prometheus, objects, f"http://127.0.0.1:{port['flower']}")
        finally:
            service.stop()


def _wait_for(service: Service, name: str, process: subprocess.Popen[bytes], port: int) -> None:
    """Return when a process shows its metrics; one that has ended fails the test with its log."""

    def answers() -> bool:
        assert process.poll() is None, service.log(name)
        try:
            return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    eventually(answers)
