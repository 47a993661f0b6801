"""How fast a task is accepted: `GET /{word}` of the demo service, with confirms, against doing it the example's way.

Each round measures every way in turn, on one Hypercorn process pinned to one core; the load (wrk) and the servers have
the other. The last shows what Hypercorn and FastAPI make of a route that does nothing. Nobody consumes the
tasks, so the naive way's threads wait, as they would for any task that takes time. Machines are noisy: read the ratios.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kombu import Connection, Exchange, Producer, Queue

from local import RabbitMQ, Redis, free_port
from local.processes import marked

CONNECTIONS = 32
SECONDS = 10
ROUNDS = 3
HERE = Path(__file__).parent


@dataclass
class Way:
    """One way to submit."""

    name: str
    module: str
    path: str


WAYS = [
    Way("naive: send_task, then .get() in a thread", "bench._naive_app:app", "/wait/word"),
    Way("send_task alone, no confirm", "bench._naive_app:app", "/send/word"),
    Way("stalk: GET /{word}, confirmed", "app.main:app", "/word"),
    Way("no task at all: GET /healthz", "app.main:app", "/healthz"),
]


@dataclass
class Figure:
    """What one run of wrk said."""

    rate: float
    """Requests a second."""
    p99: float
    """Milliseconds."""
    failed: int


@contextmanager
def hypercorn(module: str, environment: dict[str, str]) -> Iterator[int]:
    """Serve on one core; yields the port. Killed at the end: the naive app's threads never end by themselves."""
    port = free_port()
    words = [
        "taskset",
        "-c",
        "0",
        sys.executable,
        "-m",
        "hypercorn",
        module,
        "--workers",
        "0",
        "--worker-class",
        "uvloop",
    ]
    server = subprocess.Popen(
        [*words, "--bind", f"127.0.0.1:{port}"], env=environment, cwd=HERE.parent, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=5)
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield port
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


def pin_servers(folder: Path) -> None:
    """Keep RabbitMQ and Redis off the core that is measured."""
    for process in marked(folder):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {1})


def wrk(url: str) -> Figure:
    """Load one URL from the other core."""
    words = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", url]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if rate is None or p99 is None:
        raise RuntimeError(f"wrk said:\n{said}")
    scale = {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]
    return Figure(float(rate[1]), float(p99[1]) * scale, int(failed[1]) if failed else 0)


def raw_kombu(url: str) -> float:
    """Return messages a second of a loop that only publishes, without confirms, on one connection."""
    body = json.dumps([["word"], {}, {}])
    with Connection(url) as connection, connection.channel() as channel:
        queue = Queue("bench-raw", Exchange("bench"), routing_key="bench-raw")
        producer = Producer(channel, exchange=queue.exchange, routing_key="bench-raw")
        queue.bind(channel).declare()
        end, sent = time.monotonic() + 3, 0
        started = time.monotonic()
        while time.monotonic() < end:
            producer.publish(body, content_type="application/json", content_encoding="utf-8")
            sent += 1
        rate = sent / (time.monotonic() - started)
        queue.bind(channel).delete()
        return rate


def median(figures: list[Figure]) -> Figure:
    """Return the median of each part."""
    return Figure(
        statistics.median(figure.rate for figure in figures),
        statistics.median(figure.p99 for figure in figures),
        sum(figure.failed for figure in figures),
    )


def main() -> None:
    """Measure and print."""
    found: dict[str, list[Figure]] = {way.name: [] for way in WAYS}
    raw = []
    with (
        TemporaryDirectory() as folder,
        RabbitMQ(Path(folder) / "rabbitmq") as broker,
        Redis(Path(folder) / "redis") as redis,
    ):
        pin_servers(Path(folder))
        environment = os.environ | {"BROKER_URL": broker.amqp_url, "REDIS_URL": redis.url, "TASK_QUEUE": "bench-stalk"}
        for _ in range(ROUNDS):
            for way in WAYS:
                with hypercorn(way.module, environment) as port:
                    found[way.name].append(wrk(f"http://127.0.0.1:{port}{way.path}"))
            raw.append(raw_kombu(broker.amqp_url))
    naive = median(found[WAYS[0].name])
    print(f"{ROUNDS} rounds of {SECONDS} s, {CONNECTIONS} connections, one Hypercorn process on one core; medians\n")
    print(f"{'':46}{'requests/s':>12}{'p99 ms':>9}{'failed':>8}{'rate / naive':>14}{'p99 / naive':>13}")
    for way in WAYS:
        figure = median(found[way.name])
        print(
            f"{way.name:46}{figure.rate:12,.0f}{figure.p99:9.0f}{figure.failed:8}"
            f"{figure.rate / naive.rate:14.1f}{figure.p99 / naive.p99:13.2f}"
        )
    print(f"{'raw kombu publish, no HTTP, no confirm':46}{statistics.median(raw):12,.0f}")


if __name__ == "__main__":
    main()
