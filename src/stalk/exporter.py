"""`stalk exporter`: tells Prometheus what no other exporter knows of a Celery app that goes to zero.

How long tasks waited for a worker, from the sums that workers leave in Redis (`stalk.celery.waits`), and whether broker
and Redis let an app in. It keeps no numbers itself. Queues are RabbitMQ's own metrics, tasks Flower's: docs/metrics.md.
"""

import signal
from collections.abc import Iterator, Sequence
from itertools import accumulate

from celery import Celery
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from redis import Redis
from redis.exceptions import RedisError

from stalk.celery import configure
from stalk.celery.keys import WAITS_KEY
from stalk.celery.waits import BOUNDS, REDELIVERED, SUM
from stalk.logging import setup_logging
from stalk.settings import ConnectionSettings, load

__all__ = ["ReleaseCollector", "exporter"]

END = {signal.SIGTERM, signal.SIGINT}
ANSWER_SECONDS = 3.0
"""How long each server may take; Prometheus gives up after 10 s by default."""


def exporter(port: int, queues: Sequence[str]) -> str | None:
    """Serve `/metrics` until SIGTERM; return what is wrong.

    Args:
        port: where to listen.
        queues: shown from the start, at zero: Prometheus does not see the first step of a number that begins with it.
    """
    settings = load(ConnectionSettings)
    setup_logging(settings)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ReleaseCollector(settings, queues))
    # Blocked before there are other threads, which inherit it: as PID 1 a signal without a handler would be ignored.
    signal.pthread_sigmask(signal.SIG_BLOCK, END)
    try:
        server, thread = start_http_server(port, registry=registry)
    except OSError as error:
        return f"cannot listen on port {port}: {error.strerror}"
    signal.sigwait(END)
    server.shutdown()
    thread.join()
    return None


class ReleaseCollector(Collector):
    """Asks Redis and RabbitMQ each time that Prometheus asks.

    Args:
        settings: where they are.
        queues: queues that are shown although nothing has started in them yet.
    """

    def __init__(self, settings: ConnectionSettings, queues: Sequence[str]) -> None:
        self._queues = queues
        self._redis = Redis.from_url(
            settings.results_url(),
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            decode_responses=True,
        )
        self._app = configure(Celery("stalk-exporter", set_as_current=False), settings, queues or ["stalk"])

    def collect(self) -> Iterator[GaugeMetricFamily | HistogramMetricFamily | CounterMetricFamily]:
        """Yield the metrics; those of the waits are left out while Redis is away, or they would seem to restart."""
        up = GaugeMetricFamily(
            "stalk_dependency_up", "1 where an app can log in, by dependency.", labels=["dependency"]
        )
        up.add_metric(["broker"], float(self._broker_answers()))
        try:
            found: dict[str, str] = self._redis.hgetall(WAITS_KEY)  # type: ignore[assignment]
        except (RedisError, OSError):
            up.add_metric(["results"], 0)
            yield up
            return
        up.add_metric(["results"], 1)
        yield up
        yield from self._waits({field: float(value) for field, value in found.items()})

    def _waits(self, found: dict[str, float]) -> Iterator[HistogramMetricFamily | CounterMetricFamily]:
        waits = HistogramMetricFamily(
            "stalk_task_wait_seconds",
            "Seconds from the moment a task was accepted, or its countdown was over, until a worker started it.",
            labels=["queue"],
        )
        again = CounterMetricFamily(
            "stalk_task_redeliveries",
            "Tasks started from a message that RabbitMQ had delivered before.",
            labels=["queue"],
        )
        for queue in sorted({field.partition("|")[2] for field in found} | set(self._queues)):
            counts = accumulate(found.get(f"{bound}|{queue}", 0.0) for bound in BOUNDS)
            buckets = [(str(bound).replace("inf", "+Inf"), count) for bound, count in zip(BOUNDS, counts, strict=True)]
            waits.add_metric([queue], buckets, found.get(f"{SUM}|{queue}", 0.0))
            again.add_metric([queue], found.get(f"{REDELIVERED}|{queue}", 0.0))
        yield waits
        yield again

    def _broker_answers(self) -> bool:
        try:
            with self._app.connection_for_write(connect_timeout=ANSWER_SECONDS) as connection:
                connection.ensure_connection(max_retries=0)
        except Exception:  # whatever it is, an app would not get in either
            return False
        return True
