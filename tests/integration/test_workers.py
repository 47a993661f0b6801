"""Workers come and go: what they had is done once more or kept, never dropped."""

import os
import signal

import psutil
import pytest

from integration.harness import Service, end_tree, eventually
from stalk.celery.queues import dead_letter_queue_name


@pytest.mark.parametrize("service", [{"STEP_SECONDS": "0.5"}], indirect=True)
def test_worker_killed_in_the_middle_of_a_task_runs_it_again(service: Service) -> None:
    service.api()
    worker = service.worker()
    task_id = service.submit("again")
    service.wait_for(task_id, "PROGRESS")
    end_tree(worker.pid)
    eventually(lambda: service.ready_messages(service.queue) == 1)
    service.worker()
    assert service.wait_for(task_id)["result"] == "test task return again"


@pytest.mark.parametrize("service", [{"STEP_SECONDS": "0.5"}], indirect=True)
def test_child_killed_in_the_middle_of_a_task_runs_it_again(service: Service) -> None:
    service.api()
    worker = service.worker()
    task_id = service.submit("again")
    service.wait_for(task_id, "PROGRESS")
    psutil.Process(worker.pid).children()[0].send_signal(signal.SIGKILL)
    assert service.wait_for(task_id, timeout=60)["result"] == "test task return again"
    assert "WorkerLostError" in service.log("worker")


@pytest.mark.parametrize("service", [{"STEP_SECONDS": "0.3"}], indirect=True)
def test_sigterm_finishes_the_running_task_and_gives_the_others_back(service: Service) -> None:
    service.api()
    worker = service.worker()
    running, waiting = service.submit("running"), service.submit("waiting")
    service.wait_for(running, "PROGRESS")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(30) == 0
    assert service.state(running)["status"] == "SUCCESS"
    assert service.state(waiting)["status"] == "PENDING"
    eventually(lambda: service.ready_messages(service.queue) == 1)


@pytest.mark.parametrize("service", [{"QUEUE_DELIVERY_LIMIT": "2", "STEP_SECONDS": "30"}], indirect=True)
def test_poison_task_goes_to_the_dead_letter_queue(service: Service) -> None:
    service.api()
    worker = service.worker()
    service.submit("poison")

    def kill_whoever_runs_it() -> bool:
        for child in psutil.Process(worker.pid).children():
            child.send_signal(signal.SIGKILL)
        return service.ready_messages(dead_letter_queue_name(service.queue)) == 1

    eventually(kill_whoever_runs_it, timeout=90, interval=1.5)
    assert service.ready_messages(service.queue) == 0


def test_message_that_is_no_task_goes_to_the_dead_letter_queue(service: Service) -> None:
    import amqp

    service.api()
    service.worker()
    channel = service.channel()
    channel.basic_publish(amqp.Message(b"\x80no task", content_type="application/json"), "stalk", service.queue)
    eventually(lambda: service.ready_messages(dead_letter_queue_name(service.queue)) == 1)
    channel.connection.close()
    service.wait_for(service.submit())


@pytest.mark.timeout(180)
def test_broker_outage_neither_ends_a_worker_nor_its_heartbeat(service: Service) -> None:
    service.api()
    worker = service.worker()
    assert service.run("stalk", "probe", "ready").returncode == 0
    eventually(service.written_down)
    service.broker.kill()
    try:
        alive = service.folder / "run" / "alive"
        eventually(lambda: service.run("stalk", "probe", "ready").returncode == 1)
        last = alive.stat().st_mtime
        eventually(lambda: alive.stat().st_mtime > last + 5, timeout=60)
        assert service.run("stalk", "probe", "live", "--max-age", "40").returncode == 0
    finally:
        service.broker.start()
    eventually(lambda: service.run("stalk", "probe", "ready").returncode == 0, timeout=60, interval=0.5)
    assert worker.poll() is None
    eventually(service.is_ready)
    service.wait_for(service.submit())


def test_worker_restarted_under_the_same_name_comes_up(service: Service) -> None:
    service.api()
    words = ["celery", "-A", "app.worker.celery_worker", "worker", "-Q", service.queue, "-c", "1", "-n", "same@host"]
    for _ in range(2):
        worker = service.start("worker", *words, "-l", "INFO")
        service.wait_for(service.submit())
        end_tree(worker.pid)
    assert "RESOURCE_LOCKED" not in service.log("worker")


@pytest.mark.parametrize("service", [{"LOG_FORMAT": "json"}], indirect=True)
def test_worker_logs_json_with_the_task_id(service: Service) -> None:
    import json

    service.api()
    service.worker()
    task_id = service.submit()
    service.wait_for(task_id)

    def lines() -> list[dict[str, object]]:
        return [json.loads(line) for line in service.log("worker").splitlines() if line.startswith("{")]

    eventually(lambda: any("succeeded" in str(line["message"]) and task_id in str(line) for line in lines()))
