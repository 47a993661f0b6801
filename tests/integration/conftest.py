"""A real broker, a real Redis, and the service on them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.harness import Service
from local import RabbitMQ, Redis

PASSWORD = "p@ss/w:rd#?%é+&"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), user="stalk", password=PASSWORD, vhost="a/b") as running:
        yield running


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis"), password=PASSWORD) as running:
        yield running


@pytest.fixture
def service(tmp_path: Path, broker: RabbitMQ, redis: Redis, request: pytest.FixtureRequest) -> Iterator[Service]:
    """Give a service; `@pytest.mark.parametrize("service", [{"STEPS": "3"}], indirect=True)` changes its settings."""
    running = Service(tmp_path, broker, redis, dict(getattr(request, "param", {})))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def service_up(tmp_path_factory: pytest.TempPathFactory, broker: RabbitMQ, redis: Redis) -> Iterator[Service]:
    """Give one running API to all tests of a module that only ask it."""
    running = Service(tmp_path_factory.mktemp("service"), broker, redis, {})
    running.api()
    yield running
    running.stop()
