"""What people hand to the planner: rates, traces, Prometheus, durations, values; and what it says when it is wrong."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from stalk.plan import prometheus
from stalk.plan.arrivals import Recording, poisson, trace
from stalk.plan.durations import parse
from stalk.plan.pools import Pool, read
from stalk.plan.units import PlanProblem, rate, seconds, spoken


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def written(folder: Path, text: str) -> Path:
    file = folder / "input.csv"
    file.write_text(text, encoding="utf-8")
    return file


def refused(what: Callable[[Path], object], file: Path, said: str) -> None:
    """Check that a file is refused with one line that begins with its name."""
    with pytest.raises(PlanProblem) as caught:
        what(file)
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("5s", 5), ("5", 5), ("1.5m", 90), ("2 min", 120), ("1h", 3600), ("1d", 86400)],
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text, "x") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"), [("20/s", 20), ("90/min", 1.5), ("1e6/d", 1e6 / 86400), (".5/h", 0.5 / 3600)]
)
def test_rates(text: str, expected: float) -> None:
    assert rate(text, "x") == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "soon", "-1s", "5 parsecs", "1e400", "nan"])
def test_what_is_no_time_says_where(text: str) -> None:
    with pytest.raises(PlanProblem, match=r"^--pod-start: "):
        seconds(text, "--pod-start")


@pytest.mark.parametrize("text", ["20", "20/fortnight", "0/s", "/s", "-1/s"])
def test_what_is_no_rate_says_where(text: str) -> None:
    with pytest.raises(PlanProblem, match=r"^--rate: "):
        rate(text, "--rate")


def test_times_are_said_as_people_say_them() -> None:
    said = [spoken(value) for value in (0, 0.352, 4.56, 34.4, 599, 725, 11000)]
    assert said == ["0.00 s", "0.35 s", "4.6 s", "34 s", "599 s", "12 min", "3.1 h"]


def test_poisson_arrivals_have_their_rate_and_the_same_seed_gives_the_same() -> None:
    first, second = (poisson(20, 3600)(rng()) for _ in range(2))
    assert len(first.times) == pytest.approx(72_000, rel=0.02)
    assert np.array_equal(first.times, second.times)
    gaps = np.diff(first.times)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.02), "exponential gaps"
    assert (first.times[0] >= 0, first.seconds) == (True, 3600)


def test_too_many_tasks_are_a_slip() -> None:
    with pytest.raises(PlanProblem, match="shorter time"):
        poisson(1e6, 86400)


@pytest.mark.parametrize(
    "text",
    [
        "time\n1000.5\n1002\n1001\n",
        "1000.5\n\n1002\n1001",
        "\ufefftime\n1970-01-01T00:16:40.5Z\n1970-01-01T00:16:42\n1970-01-01T01:16:41+01:00\n",
    ],
)
def test_trace_of_timestamps(tmp_path: Path, text: str) -> None:
    found = trace(written(tmp_path, text))(rng())
    assert found.times.tolist() == [0, 0.5, 1.5]
    assert found.seconds == 1.5


def test_trace_of_counts(tmp_path: Path) -> None:
    found = trace(written(tmp_path, "timestamp,count\n60,10\n0,5\n120,0\n"))(rng())
    assert found.seconds == 180
    assert np.histogram(found.times, [0, 60, 120, 180])[0].tolist() == [5, 10, 0]
    uneven = trace(written(tmp_path, "0,1000\n10,1000\n110,0\n"))(rng())
    assert np.histogram(uneven.times, [0, 10, 60, 110])[0].tolist() == pytest.approx([1000, 500, 500], abs=80)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time\nlater\n", ":2: 'later' is not a time"),
        ("1,2\n2\n", ":2: has 1 columns"),
        ("1\n2,2\n", ":2: has 2 columns"),
        ("1,many\n", ":1: 'many' is not a number of tasks"),
        ("1,-2\n", ":1: '-2' is not a number of tasks"),
        ("0\nnan\n", ":2: 'nan' is not a time"),
        ("1,2\n", "counts need at least two rows"),
        ("5,2\n5,2\n", "counts need at least two rows"),
        ("time\n", "holds no row"),
        ("", "holds no row"),
    ],
)
def test_bad_trace_says_what_and_where(tmp_path: Path, text: str, said: str) -> None:
    refused(trace, written(tmp_path, text), said)


def test_missing_trace(tmp_path: Path) -> None:
    with pytest.raises(PlanProblem, match="No such file"):
        trace(tmp_path / "no.csv")


def test_trace_without_a_task(tmp_path: Path) -> None:
    with pytest.raises(PlanProblem, match="no task arrives"):
        trace(written(tmp_path, "0,0\n60,0\n"))(rng())
    with pytest.raises(PlanProblem, match="no task arrives"):
        Recording(np.empty(0), 5)


def answer(*series: list[list[Any]]) -> bytes:
    result = [{"metric": {}, "values": values} for values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def test_prometheus_range() -> None:
    """Two series are added up; NaN and a hole are no traffic."""
    found = prometheus.from_answer(answer([[0, "1"], [60, "2"], [240, "1"]], [[60, "1"], [240, "NaN"]]), "file.json")(
        rng()
    )
    assert found.seconds == 300
    assert np.histogram(found.times, [0, 60, 120, 240, 300])[0].tolist() == [60, 180, 0, 60]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "is not what Prometheus answers"),
        (b'{"status": "success"}', "is not what Prometheus answers"),
        (b'{"data": {"resultType": "vector", "result": []}}', "is a vector"),
        (answer(), "holds 0 points"),
        (answer([[0, "1"]]), "holds 1 points"),
    ],
)
def test_bad_prometheus_answer(body: bytes, said: str) -> None:
    with pytest.raises(PlanProblem, match=said):
        prometheus.from_answer(body, "file.json")


class Prometheus(BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]]
    status, body = 200, b""

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Prometheus]]]:
    handler = type("Handler", (Prometheus,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}", handler
        running.shutdown()


def test_prometheus_is_asked(server: tuple[str, type[Prometheus]]) -> None:
    address, handler = server
    handler.body = answer([[0, "1"], [60, "1"]])
    found = prometheus.ask(f"http://me:p%40ss@{address}/prom/", "sum(x)", 1000, 600, 60)(rng())
    assert len(found.times) == 120
    ((path, login),) = handler.seen
    assert urlsplit(path).path == "/prom/api/v1/query_range"
    assert parse_qs(urlsplit(path).query) == {
        "query": ["sum(x)"],
        "start": ["400.000"],
        "end": ["1000.000"],
        "step": ["60"],
    }
    assert login == "Basic bWU6cEBzcw=="


def test_prometheus_that_refuses(server: tuple[str, type[Prometheus]]) -> None:
    address, handler = server
    handler.status, handler.body = 400, b'{"status": "error", "error": "parse error: unexpected end"}'
    with pytest.raises(PlanProblem, match="answered 400: parse error") as caught:
        prometheus.ask(f"http://me:secret@{address}", "sum(", 1000, 600, 60)
    assert "secret" not in str(caught.value)


def test_prometheus_that_is_not_there() -> None:
    with pytest.raises(PlanProblem, match="refused"):
        prometheus.ask("http://127.0.0.1:1", "x", 1000, 600, 60)
    with pytest.raises(PlanProblem, match="is no address"):
        prometheus.ask("ftp://127.0.0.1", "x", 1000, 600, 60)
    with pytest.raises(PlanProblem, match="make it longer"):
        prometheus.ask("http://127.0.0.1:1", "x", 1000, 86400 * 30, 60)


def test_lognormal_has_its_percentiles() -> None:
    drawn = parse("p50=2s,p95=8s", "--duration")(200_000, rng())
    assert np.percentile(drawn, [50, 95]).tolist() == pytest.approx([2, 8], rel=0.02)
    assert parse("p50=2s,p95=2s", "--duration")(3, rng()).tolist() == pytest.approx([2, 2, 2])


def test_other_durations(tmp_path: Path) -> None:
    assert parse("1.5", "--duration")(2, rng()).tolist() == [1.5, 1.5]
    assert parse("mean=2s", "--duration")(200_000, rng()).mean() == pytest.approx(2, rel=0.02)
    file = written(tmp_path, "seconds\n1\n3\n")
    assert set(parse(str(file), "--duration")(100, rng()).tolist()) == {1, 3}


@pytest.mark.parametrize(
    "text", ["", "0s", "p50=2s", "p50=8s,p95=2s", "p95=2s,mean=1s", "p50=2,p95=x", "mean=0", "no.csv", "fast"]
)
def test_what_is_no_duration_says_where(text: str) -> None:
    with pytest.raises(PlanProblem, match=r"^--duration: "):
        parse(text, "--duration")


def test_bad_file_of_durations(tmp_path: Path) -> None:
    with pytest.raises(PlanProblem, match=r"input\.csv:2: '-3' is not a number of seconds"):
        parse(str(written(tmp_path, "1\n-3\n")), "--duration")


VALUES = """
workerDefaults: {concurrency: 2, autoscaling: {max: 20, behavior: {scaleUp: {stabilizationWindowSeconds: 30}}}}
workers:
  mail: {queues: [mail, urgent-mail], longestTaskSeconds: 60, autoscaling: {min: 1}}
  images: {queues: [images], concurrency: 4, autoscaling: {tasksPerSlot: 2, cooldownPeriod: 90, cpuTrigger: true}}
  off: {queues: [off], enabled: false}
  gone: null
  fixed: {queues: [fixed], autoscaling: {mode: none, replicas: 3}}
rabbitmq: {statisticsSeconds: 3}
steward: {enabled: false}
"""


def test_pools_of_a_values_file(tmp_path: Path) -> None:
    pools, site = read(written(tmp_path, VALUES))
    assert list(pools) == ["mail", "images", "fixed"]
    assert (site.statistics, site.idle_first) == (3, False)
    mail, images, fixed = pools.values()
    assert (mail.concurrency, mail.least, mail.most, mail.target, mail.queues) == (2, 1, 20, 2, ("mail", "urgent-mail"))
    assert mail.behavior == {"scaleUp": {"stabilizationWindowSeconds": 30}}
    assert (mail.grace_seconds, mail.cooldown_seconds) == (90, 120)
    assert (images.target, images.cooldown_seconds, images.behavior) == (8, 90, mail.behavior)
    assert images.notes[0].endswith("autoscaling.cpuTrigger is set and not simulated")
    assert (fixed.mode, fixed.replicas) == ("none", 3)


def test_an_interruptible_pool(tmp_path: Path) -> None:
    pools, _ = read(written(tmp_path, "workers: {spot: {queues: [a], interruptible: true, softShutdownSeconds: 90}}"))
    assert (pools["spot"].grace_seconds, pools["spot"].cooldown_seconds) == (100, 660)
    assert "workers.spot.interruptible is set: tasks that a pod gives back as it goes" in pools["spot"].notes[0]


def test_values_that_say_nothing_of_pools(tmp_path: Path) -> None:
    pools, site = read(written(tmp_path, "rabbitmq: {enabled: false}"))
    assert pools == {"default": Pool()}
    assert (site.statistics, site.idle_first) == (5, True), "an external RabbitMQ's own interval"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workers: [a]", "workers: is not a map"),
        ("workers: {a: {queues: []}}", "workers.a.queues: names no queue"),
        ("workers: {a: {queues: [a], concurrency: 0}}", "workers.a.concurrency: 0 is not a whole number of at least 1"),
        ("workers: {a: {queues: [a], concurrency: yes}}", "workers.a.concurrency: True is not"),
        ("workers: {a: {queues: [a], autoscaling: {min: 3, max: 2}}}", "workers.a.autoscaling.min: 3 is more than max"),
        ("workers: {a: {queues: [a], autoscaling: {mode: hpa}}}", "workers.a.autoscaling.mode: hpa follows CPU"),
        ("workers: {a: {queues: [a], autoscaling: {mode: on}}}", "workers.a.autoscaling.mode: True is not"),
        ("workers: {a: {queues: [a], autoscaling: {behavior: {up: {}}}}}", "autoscaling.behavior: has no key up"),
        ("workers: {a: {queues: [a], interruptible: 1}}", "workers.a.interruptible: 1 is not true or false"),
        ("workers: {a: {queues: [a], enabled: false}}", "no pool is enabled"),
        ("workers: {a: [", "is no YAML"),
        ("- 1", "is not a map"),
    ],
)
def test_bad_values_say_what_and_where(tmp_path: Path, text: str, said: str) -> None:
    refused(read, written(tmp_path, text), said)
