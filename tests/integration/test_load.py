"""What one worker and one task cost RabbitMQ and Redis: the figures that `stalk plan --load` reckons with."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from redis import Redis as Client

from integration.harness import Service, eventually
from local import RabbitMQ, Redis
from stalk.celery.keys import accepted_key
from stalk.plan import load

TASKS = 40
CONCURRENCY = 2


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """Give a broker that nobody else counts in."""
    with RabbitMQ(tmp_path_factory.mktemp("counted"), vhost="a/b") as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Give a Redis that nobody else counts in."""
    with Redis(tmp_path_factory.mktemp("counted-redis")) as running:
        yield running


@pytest.fixture(scope="module")
def service(service_up: Service) -> Service:
    service_up.settings["STEPS"] = "1"  # the worker's, which starts later: one state of the task's own
    return service_up


class Broker:
    """The management API, restricted to the worker's part."""

    def __init__(self, service: Service) -> None:
        broker = service.broker
        self._http = httpx.Client(base_url=broker.management_url, auth=(broker.user, broker.password))

    def ask(self, path: str) -> Any:
        answer = self._http.get(f"/api/{path}")
        answer.raise_for_status()
        return answer.json()

    def counts(self) -> tuple[int, int, int]:
        """Return connections, channels, and control queues."""
        queues = [queue["name"] for queue in self.ask("queues")]
        pidboxes = [name for name in queues if name.endswith(".pidbox")]
        return len(self.ask("connections")), len(self.ask("channels")), len(pidboxes)

    def events(self) -> int:
        exchange = self.ask("exchanges/a%2Fb/celeryev")
        return int(exchange.get("message_stats", {}).get("publish_in", 0))


def commands(redis: Client) -> dict[str, int]:
    return {name.removeprefix("cmdstat_"): found["calls"] for name, found in redis.info("commandstats").items()}


def keys_of_tasks(redis: Client) -> list[bytes]:
    patterns = ("celery-task-meta-*", accepted_key("*"))
    return [key for pattern in patterns for key in redis.scan_iter(pattern, count=1000)]


def connections_to_redis(pid: int, port: int) -> int:
    """Return how many connections a process and its children hold to that port."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    # A child of prefork holds what its parent had open when it was made: one socket, though two processes.
    return len(
        {found.laddr for process in tree for found in process.net_connections("tcp") if found.raddr[1:] == (port,)}
    )


def test_what_a_worker_and_a_task_cost(service: Service) -> None:
    broker = Broker(service)
    redis = Client(port=service.redis.port, password=service.redis.password)
    before = eventually(lambda: (counts := broker.counts())[0] == 1 and counts)
    worker = service.worker(CONCURRENCY, "--without-gossip")

    def added() -> tuple[int, ...]:
        return tuple(after - was for after, was in zip(broker.counts(), before, strict=True))

    eventually(lambda: added() == (load.CONNECTIONS_A_POD, load.CHANNELS_A_POD, 1), timeout=60)
    # From a worker that has run its first tasks: connections are made then.
    for task in [service.submit() for _ in range(4)]:
        service.wait_for(task)
    began = time.monotonic()
    # The management API's count is late by some seconds: this one may lack those of the first tasks.
    events, keys = broker.events(), len(keys_of_tasks(redis))
    redis.config_resetstat()
    ids = [service.submit() for _ in range(TASKS)]
    eventually(lambda: len(keys_of_tasks(redis)) == keys + load.REDIS_KEYS_A_TASK * TASKS)
    eventually(lambda: commands(redis).get("publish", 0) == 3 * TASKS)
    done = commands(redis)
    state = 5 * TASKS  # GET, MULTI, SETEX, PUBLISH, EXEC of the state that this task has beside STARTED and the result
    counted = sum(done[name] for name in ("get", "set", "multi", "setex", "publish", "exec"))
    # A pipeline now and then tells how long tasks have waited.
    assert 0 <= counted - state - load.REDIS_COMMANDS_A_TASK * TASKS < TASKS / 2, done
    writes = done["set"] + done["setex"] - TASKS
    assert 0 <= writes - load.REDIS_WRITES_A_TASK * TASKS < TASKS / 10, done
    assert 1 <= connections_to_redis(worker.pid, service.redis.port) <= CONCURRENCY + 2
    service.wait_for(ids[-1])
    kept = keys_of_tasks(redis)
    size = sum(redis.memory_usage(key) or 0 for key in kept) / len(kept)
    assert size * load.REDIS_KEYS_A_TASK == pytest.approx(load.REDIS_BYTES_A_TASK, rel=0.25)
    # Three events a task, and a heartbeat each two seconds: those come on top, few in this short time.
    made = eventually(lambda: (count := broker.events() - events) >= load.EVENTS_A_TASK * TASKS and count, timeout=60)
    by_time = (time.monotonic() - began) / load.EVENT_SECONDS
    assert made <= load.EVENTS_A_TASK * (TASKS + 4) + by_time + 10
