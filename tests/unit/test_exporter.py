"""What `stalk exporter` tells Prometheus."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.exceptions import ConnectionError as RedisConnectionError

from stalk.exporter import ReleaseCollector
from stalk.settings import ConnectionSettings

UP = "stalk_dependency_up"


class Store:
    def __init__(self, fields: dict[str, str] | None) -> None:
        self.fields = fields

    def hgetall(self, _key: str) -> dict[str, str]:
        if self.fields is None:
            raise RedisConnectionError
        return self.fields


def registry(monkeypatch: pytest.MonkeyPatch, fields: dict[str, str] | None, broker: bool = True) -> CollectorRegistry:
    monkeypatch.setattr("stalk.exporter.Redis.from_url", lambda *_, **__: Store(fields))
    monkeypatch.setattr(ReleaseCollector, "_broker_answers", lambda _: broker)
    made = CollectorRegistry(auto_describe=False)
    made.register(ReleaseCollector(ConnectionSettings(), ["mail", "idle"]))
    return made


def test_sums_become_a_histogram(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"0.05|mail": "3", "1.0|mail": "2", "inf|mail": "1", "sum|mail": "4001.5", "redelivered|a|b": "7"}
    found = registry(monkeypatch, fields)

    def value(name: str, **labels: Any) -> float | None:
        return found.get_sample_value(name, labels)

    buckets = {
        le: value("stalk_task_wait_seconds_bucket", queue="mail", le=le) for le in ("0.05", "0.5", "1.0", "+Inf")
    }
    assert buckets == {"0.05": 3, "0.5": 3, "1.0": 5, "+Inf": 6}
    assert value("stalk_task_wait_seconds_count", queue="mail") == 6
    assert value("stalk_task_wait_seconds_sum", queue="mail") == 4001.5
    assert value("stalk_task_redeliveries_total", queue="a|b") == 7
    assert value("stalk_task_redeliveries_total", queue="mail") == 0


def test_a_queue_is_there_before_its_first_task(monkeypatch: pytest.MonkeyPatch) -> None:
    found = registry(monkeypatch, {})
    assert found.get_sample_value("stalk_task_wait_seconds_count", {"queue": "idle"}) == 0
    assert found.get_sample_value(UP, {"dependency": "results"}) == 1


def test_without_redis_there_is_no_sum_that_seems_to_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    found = registry(monkeypatch, None, broker=False)
    assert found.get_sample_value("stalk_task_wait_seconds_count", {"queue": "idle"}) is None
    assert found.get_sample_value(UP, {"dependency": "results"}) == 0
    assert found.get_sample_value(UP, {"dependency": "broker"}) == 0


def test_a_broker_that_is_away_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ConnectionSettings.model_validate({"broker_host": "127.0.0.1", "broker_port": 1})
    monkeypatch.setattr("stalk.exporter.Redis.from_url", lambda *_, **__: Store({}))
    made = CollectorRegistry(auto_describe=False)
    made.register(ReleaseCollector(settings, []))
    assert made.get_sample_value(UP, {"dependency": "broker"}) == 0
