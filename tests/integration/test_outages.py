"""The broker or Redis goes away and comes back: nothing accepted is lost, nobody waits for ever."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from integration.harness import Background, Service, eventually
from local import free_port

LIMIT = 5.0


class Load(Background):
    """Submits one task after another, from a few threads, until stopped; at most `most` in all."""

    def __init__(self, service: Service, threads: int = 4, most: int = 4000) -> None:
        super().__init__(*[self._run] * threads)
        self.accepted: list[str] = []
        self.refused: list[httpx.Response] = []
        self.slowest = 0.0
        self._url = service.url
        self._left = threading.Semaphore(most)

    def _run(self, end: threading.Event) -> None:
        with httpx.Client(base_url=self._url, timeout=10) as client:
            while not end.is_set() and self._left.acquire(blocking=False):
                started = time.monotonic()
                answer = client.get("/load")
                self.slowest = max(self.slowest, time.monotonic() - started)
                if answer.status_code == 200:
                    self.accepted.append(answer.json()["process_id"])
                else:
                    self.refused.append(answer)
                    end.wait(0.1)


def assert_says(answer: httpx.Response, dependency: str) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["dependency"] == dependency


def executed(service: Service, task_ids: list[str]) -> bool:
    keys = [f"celery-task-meta-{task_id}" for task_id in task_ids]
    found = service.redis.client().mget(keys)
    return all(value is not None and '"SUCCESS"' in value for value in found)


def under_load(service: Service, outage: Callable[[Load], None], dependency: str) -> Load:
    """Bring something down while tasks come in, and return when tasks are accepted again."""
    eventually(service.written_down)
    with Load(service) as load:
        eventually(lambda: len(load.accepted) > 50)
        outage(load)
        before = len(load.accepted)
        eventually(lambda: len(load.accepted) > before + 20)
    assert load.refused
    for answer in load.refused:
        assert_says(answer, dependency)
    assert load.slowest < LIMIT + 1  # the machine is busy with the load itself
    return load


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", ["broker", "results"])
@pytest.mark.parametrize("service", [{"STEPS": "1", "STEP_SECONDS": "0"}], indirect=True)
def test_dependency_killed_and_restarted_under_load_loses_nothing(service: Service, part: str) -> None:
    service.api()
    service.worker(2)
    dependency = service.broker if part == "broker" else service.redis

    def outage(load: Load) -> None:
        dependency.kill()
        eventually(lambda: len(load.refused) > 5)
        dependency.start()

    load = under_load(service, outage, part)
    eventually(lambda: executed(service, load.accepted), timeout=120, interval=0.5)
    eventually(service.is_ready)


def ask(url: str, method: str, path: str) -> httpx.Response:
    time.sleep(random.random() * 2)  # not all in the same turn of the event loop
    return httpx.request(method, url + path, json={"word": "x"} if method == "POST" else None, timeout=15)


@pytest.mark.parametrize("part", ["broker", "results"])
def test_paused_dependency_is_503_in_time_and_recovers(service: Service, part: str) -> None:
    url = service.api()
    service.submit()
    dependency = service.broker if part == "broker" else service.redis
    dependency.pause()
    try:
        # Several at once: who waits behind another's attempt is answered in time as well.
        requests = [("POST", "/tasks"), ("GET", "/readyz"), *[("GET", "/word")] * 6]
        with ThreadPoolExecutor(len(requests)) as pool:
            answers = list(pool.map(lambda request: ask(url, *request), requests))
        for (_, path), answer in zip(requests, answers, strict=True):
            assert answer.elapsed.total_seconds() < LIMIT
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
            body = answer.json()
            assert body.get("dependency", part) == part
            if path == "/readyz":
                assert body[part] != "ok"
                assert sorted(body.values()).count("ok") == 1
        assert httpx.get(f"{url}/healthz").status_code == 200
    finally:
        dependency.resume()
    eventually(service.is_ready)
    service.submit()


def test_events_go_on_after_redis_came_back(service: Service) -> None:
    import json

    from httpx_sse import connect_sse

    service.api()
    task_id = service.submit()
    with (
        httpx.Client(timeout=60) as client,
        connect_sse(client, "GET", f"{service.url}/tasks/{task_id}/events") as stream,
    ):
        events = stream.iter_sse()
        assert json.loads(next(events).data)["status"] == "PENDING"
        service.redis.kill()
        service.redis.start()
        service.worker()
        assert [json.loads(event.data)["status"] for event in events][-1] == "SUCCESS"


def test_service_starts_without_broker_and_redis(service: Service) -> None:
    service.broker.kill()
    service.redis.kill()
    try:
        service.start("api", "hypercorn", "app.main:app", "--bind", f"127.0.0.1:{(port := free_port())}")
        service.url = f"http://127.0.0.1:{port}"

        def said() -> httpx.Response | None:
            try:
                return httpx.get(f"{service.url}/readyz", timeout=10)
            except httpx.TransportError:
                return None

        body = eventually(said).json()
        assert body["status"] == "unavailable"
        assert "ok" not in (body["broker"], body["results"])
    finally:
        service.broker.start()
        service.redis.start()
    eventually(service.is_ready)
