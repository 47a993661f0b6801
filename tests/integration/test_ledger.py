"""The chaos suite's task on a real broker: what it writes down is what happened."""

import signal

import httpx
import psutil
import pytest

from app.ledger import Record, ledger_key
from e2e.chaos.judge import Killed, Run, judge, runs_of
from integration.harness import Service, eventually
from stalk.celery.queues import dead_letter_queue_name

ON = {"LEDGER": "true"}


def records(service: Service, task_id: str) -> list[Record]:
    return [Record.decode(text) for text in service.redis.client().lrange(ledger_key(task_id), 0, -1)]


def runs(service: Service, task_id: str) -> list[Run]:
    return runs_of(records(service, task_id))


@pytest.mark.parametrize("service", [{}, {"LEDGER": "false"}], indirect=True)
def test_refused_unless_the_setting_allows_it(service: Service) -> None:
    url = service.api()
    answer = httpx.post(f"{url}/tasks", json={"word": "x", "ledger": {"poison": True}})
    assert answer.status_code == 422
    [problem] = answer.json()["detail"]
    assert problem["loc"] == ["body", "ledger"]
    assert "LEDGER=true" in problem["msg"]
    assert service.ready_messages(service.queue) == 0
    done = service.run("celery", "-A", "app.worker.celery_worker", "report")
    assert done.returncode == 0
    assert "app.worker.ledger" not in done.stdout  # a worker does not even know the task


@pytest.mark.parametrize("service", [ON], indirect=True)
@pytest.mark.parametrize(
    "order", [{"seconds": 3601}, {"seconds": -1}, {"memory_mb": 9000}, {"retry_countdown": 0.5}, {"kill": "all"}]
)
def test_order_out_of_bounds_is_422(service: Service, order: dict[str, object]) -> None:
    url = service.api()
    answer = httpx.post(f"{url}/tasks", json={"word": "x", "ledger": order})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] in order


@pytest.mark.parametrize("service", [ON], indirect=True)
def test_executed_once(service: Service) -> None:
    service.api()
    service.worker()
    plain = service.submit("plain")
    task_id = service.submit(ledger={"seconds": 0.3})
    assert service.wait_for(task_id)["result"] == "done"
    [run] = runs(service, task_id)
    assert (run.executed, run.interrupted) == (True, False)
    assert 0.3 <= run.ended - run.started < 5
    assert service.redis.client().ttl(ledger_key(task_id)) > 80_000
    assert service.wait_for(plain)["result"] == "test task return plain"
    judgement = judge({task_id: records(service, task_id)}, Killed())
    assert (judgement.once, judgement.problems) == (1, [])


@pytest.mark.parametrize("service", [ON], indirect=True)
def test_killed_child_is_an_interruption_and_the_task_runs_again(service: Service) -> None:
    service.api()
    service.worker()
    task_id = service.submit(ledger={"seconds": 2})
    [run] = eventually(lambda: runs(service, task_id))
    psutil.Process(run.pid).send_signal(signal.SIGKILL)
    service.wait_for(task_id)
    first, second = runs(service, task_id)
    assert (first.run, first.interrupted) == (run.run, True)
    assert (second.executed, second.pid != run.pid) == (True, True)
    written = {task_id: records(service, task_id)}
    assert judge(written, Killed({(run.host, run.pid): run.started})).problems == []
    assert judge(written, Killed()).problems != []


@pytest.mark.parametrize("service", [ON], indirect=True)
def test_retry_with_countdown_runs_once_to_its_end(service: Service) -> None:
    service.api()
    service.worker()
    task_id = service.submit(ledger={"retry_countdown": 1})
    service.wait_for(task_id)
    first, second = runs(service, task_id)
    assert (first.retried, first.executed, first.interrupted) == (True, False, False)
    assert second.executed
    assert second.started - first.ended > 0.5
    assert judge({task_id: records(service, task_id)}, Killed()).problems == []


@pytest.mark.parametrize("service", [ON], indirect=True)
def test_memory_is_taken_by_the_first_run_alone(service: Service) -> None:
    service.api()
    service.worker()
    task_id = service.submit(ledger={"memory_mb": 300, "seconds": 3})
    [run] = eventually(lambda: runs(service, task_id))
    process = psutil.Process(run.pid)
    eventually(lambda: process.memory_info().rss > 300 << 20, timeout=20)
    process.send_signal(signal.SIGKILL)
    second = eventually(lambda: runs(service, task_id)[1:], timeout=20)[0]
    assert psutil.Process(second.pid).memory_info().rss < 200 << 20
    service.wait_for(task_id)


@pytest.mark.parametrize("service", [ON | {"QUEUE_DELIVERY_LIMIT": "2"}], indirect=True)
def test_poison_kills_each_run_until_the_dead_letter_queue_has_it(service: Service) -> None:
    service.api()
    service.worker()
    task_id = service.submit(ledger={"poison": True})
    eventually(lambda: service.ready_messages(dead_letter_queue_name(service.queue)) == 1, timeout=60)
    found = runs(service, task_id)
    assert len(found) >= 2
    assert all(run.interrupted for run in found)
    assert judge({task_id: records(service, task_id)}, Killed(), dead={task_id}).problems == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("service", [ON], indirect=True)
def test_records_wait_for_a_redis_that_is_away(service: Service) -> None:
    service.api()
    service.worker()
    task_id = service.submit(ledger={"seconds": 1})
    [run] = eventually(lambda: runs(service, task_id))
    service.redis.kill()
    eventually(lambda: "the ledger waits for Redis" in service.log("worker"))
    service.redis.start()
    eventually(lambda: [each.executed for each in runs(service, task_id)] == [True], timeout=60)
    assert runs(service, task_id)[0].run == run.run


@pytest.mark.timeout(180)
@pytest.mark.parametrize("service", [ON], indirect=True)
@pytest.mark.parametrize(
    ("refuse", "allow"),
    [
        (("replicaof", "127.0.0.1", "1"), ("replicaof", "no", "one")),
        (("config", "set", "maxmemory", "1"), ("config", "set", "maxmemory", "0")),
    ],
    ids=["read-only", "full"],
)
def test_redis_that_answers_and_refuses_costs_no_task(
    service: Service, refuse: tuple[str, ...], allow: tuple[str, ...]
) -> None:
    """Celery stores STARTED before a task runs: a store that refuses it must hold the task up, not end it."""
    service.api()
    service.worker()
    task_id = service.submit(countdown=2, ledger={})
    redis = service.redis.client()
    redis.execute_command(*refuse)  # type: ignore[no-untyped-call]
    try:
        eventually(lambda: task_id in service.log("worker"))
        eventually(lambda: "Connection to Redis lost" in service.log("worker"))
        answer = httpx.post(f"{service.url}/tasks", json={"word": "x"}, timeout=10)
        assert (answer.status_code, answer.json()["dependency"]) == (503, "results")
    finally:
        redis.execute_command(*allow)  # type: ignore[no-untyped-call]
    service.wait_for(task_id)
    assert [run.executed for run in runs(service, task_id)] == [True]
