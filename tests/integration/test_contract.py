"""The service as its clients see it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from httpx_sse import connect_sse

from integration.harness import Service, eventually

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def test_example_contract(service: Service) -> None:
    url = service.api()
    service.worker()
    answer = httpx.get(f"{url}/hello world").raise_for_status().json()
    assert set(answer) == {"process_id"}
    done = eventually(
        lambda: (state := httpx.get(f"{url}/process/{answer['process_id']}").json())["status"] == "SUCCESS" and state
    )
    assert done == {
        "id": answer["process_id"],
        "status": "SUCCESS",
        "error": None,
        "result": "test task return hello world",
    }


def test_example_route_says_pending_for_an_unknown_id_and_the_new_one_404(service: Service) -> None:
    url = service.api()
    assert httpx.get(f"{url}/process/{UNKNOWN}").json() == {
        "id": UNKNOWN,
        "status": "PENDING",
        "error": None,
        "result": None,
    }
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        answer = httpx.request(method, f"{url}/tasks/{UNKNOWN}{path}")
        assert answer.status_code == 404
        assert UNKNOWN in answer.json()["detail"]


def test_queued_id_is_known_before_any_worker_exists(service: Service) -> None:
    url = service.api()
    answer = httpx.post(f"{url}/tasks", json={"word": "x"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/tasks/{answer.json()['id']}"
    state = httpx.get(f"{url}{answer.headers['Location']}")
    assert state.json() == {**answer.json(), "error": None, "result": None, "progress": None}
    assert httpx.get(f"{url}/queues").json() == {"ready": {service.queue: 1}}


@pytest.mark.parametrize("service", [{"ACCEPTED_EXPIRES_SECONDS": "1"}], indirect=True)
def test_accepted_id_is_forgotten_after_its_time(service: Service) -> None:
    service.api()
    task_id = service.submit()
    assert service.state(task_id)["code"] == 200
    eventually(lambda: service.state(task_id)["code"] == 404, timeout=5)


@pytest.mark.parametrize(
    "word",
    [
        "favicon.ico",
        "robots.txt",
        "healthz",
        "readyz",
        "metrics",
        "docs",
        "redoc",
        "openapi.json",
        "tasks",
        "process",
        "queues",
    ],
)
def test_reserved_name_never_queues_a_task(service_up: Service, word: str) -> None:
    before = service_up.ready_messages(service_up.queue)
    answer = httpx.get(f"{service_up.url}/{word}")
    assert "process_id" not in (answer.json() if answer.headers["Content-Type"] == "application/json" else {})
    assert service_up.ready_messages(service_up.queue) == before


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "word"),
        ({"word": ""}, "word"),
        ({"word": "x" * 201}, "word"),
        ({"word": 1}, "word"),
        ({"word": "x", "countdown": -1}, "countdown"),
        ({"word": "x", "countdown": 0.5}, "countdown"),
        ({"word": "x", "colour": "red"}, "colour"),
    ],
)
def test_bad_body_is_422_and_says_where(service_up: Service, body: dict[str, object], where: str) -> None:
    answer = httpx.post(f"{service_up.url}/tasks", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == where


def test_long_word_is_422(service_up: Service) -> None:
    assert httpx.get(f"{service_up.url}/{'x' * 201}").status_code == 422


def test_events_tell_each_step_until_the_end(service: Service) -> None:
    url = service.api()
    task_id = service.submit("x")
    with httpx.Client(timeout=30) as client, connect_sse(client, "GET", f"{url}/tasks/{task_id}/events") as stream:
        events = stream.iter_sse()
        assert json.loads(next(events).data)["status"] == "PENDING"
        service.worker()
        seen = [json.loads(event.data) for event in events]
    assert [state["progress"] for state in seen if state["status"] == "PROGRESS"] == list(range(10, 101, 10))
    assert seen[-1]["status"] == "SUCCESS"
    assert seen[-1]["result"] == "test task return x"


def test_events_of_an_ended_task_are_its_end(service: Service) -> None:
    url = service.api()
    service.worker()
    task_id = service.submit()
    service.wait_for(task_id)
    with httpx.Client(timeout=10) as client, connect_sse(client, "GET", f"{url}/tasks/{task_id}/events") as stream:
        assert [json.loads(event.data)["status"] for event in stream.iter_sse()] == ["SUCCESS"]


@pytest.mark.parametrize("service", [{"STEP_SECONDS": "0.2"}], indirect=True)
def test_many_watchers_cost_redis_one_subscription(service: Service) -> None:
    url = service.api()
    task_id = service.submit()

    def follow(_: int) -> list[str]:
        with httpx.Client(timeout=30) as client, connect_sse(client, "GET", f"{url}/tasks/{task_id}/events") as stream:
            return [json.loads(event.data)["status"] for event in stream.iter_sse()]

    with ThreadPoolExecutor(20) as pool:
        followers = [pool.submit(follow, number) for number in range(20)]
        eventually(lambda: watchers(service, task_id) == 1)
        before = commands(service, "get")
        service.worker()
        assert all(follower.result()[-1] == "SUCCESS" for follower in followers)
    # The worker itself reads a few times; 20 clients that poll would read hundreds of times.
    assert commands(service, "get") - before < 60
    eventually(lambda: watchers(service, task_id) == 0)


def commands(service: Service, name: str) -> int:
    """Return how often Redis has run a command."""
    calls: int = service.redis.client().info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0)
    return calls


def watchers(service: Service, task_id: str) -> int:
    """Return how many connections are subscribed to a task's result."""
    [(_, number)] = service.redis.client().pubsub_numsub(f"celery-task-meta-{task_id}")
    return int(number)


def test_revoked_while_no_worker_is_alive_never_runs(service: Service) -> None:
    url = service.api()
    revoked, other = service.submit("revoked"), service.submit("other")
    answer = httpx.delete(f"{url}/tasks/{revoked}")
    assert (answer.status_code, answer.json()["status"]) == (202, "REVOKED")
    assert httpx.delete(f"{url}/tasks/{revoked}").status_code == 409
    service.worker()
    service.wait_for(other)
    eventually(lambda: service.ready_messages(service.queue) == 0)
    state = service.state(revoked)
    assert (state["status"], state["result"], state["progress"]) == ("REVOKED", None, None)
    assert "test task return revoked" not in service.log("worker")


@pytest.mark.parametrize("service", [{"STEP_SECONDS": "1"}], indirect=True)
def test_running_task_is_stopped_only_on_demand(service: Service) -> None:
    url = service.api()
    service.worker()
    task_id = service.submit()
    service.wait_for(task_id, "PROGRESS")
    refused = httpx.delete(f"{url}/tasks/{task_id}")
    assert refused.status_code == 409
    assert "terminate=true" in refused.json()["detail"]
    assert httpx.delete(f"{url}/tasks/{task_id}?terminate=true").status_code == 202
    assert service.wait_for(task_id, "REVOKED")["error"] == "terminated"
    following = service.submit("next")
    service.wait_for(following, "PROGRESS")


def test_countdown_waits_in_the_broker_with_no_worker_alive(service: Service) -> None:
    service.api()
    submitted = time.monotonic()
    task_id = service.submit("later", countdown=3)
    assert service.ready_messages(service.queue) == 0
    eventually(lambda: service.ready_messages(service.queue) == 1, timeout=10)
    assert time.monotonic() - submitted > 2.5
    service.worker()
    assert service.wait_for(task_id)["result"] == "test task return later"


def test_health_and_metrics(service: Service) -> None:
    url = service.api()
    service.submit()
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{url}/readyz").json() == {"status": "ok", "broker": "ok", "results": "ok"}
    assert f'stalk_tasks_accepted_total{{queue="{service.queue}"}} 1.0' in httpx.get(f"{url}/metrics").text
    assert httpx.get(f"{url}/docs").status_code == 200
    assert "<title>Stalk</title>" in httpx.get(url).text


def test_both_processes_refuse_a_bad_setting_with_one_line(service: Service) -> None:
    service.settings["STEPS"] = "none"
    for words in (
        ["hypercorn", "app.main:app", "--workers", "0", "--bind", "127.0.0.1:0"],
        ["celery", "-A", "app.worker.celery_worker", "worker"],
    ):
        done = service.run(*words)
        assert done.returncode != 0
        assert "bad setting: STEPS: Input should be a valid integer" in done.stderr
        assert "Traceback" not in done.stderr
