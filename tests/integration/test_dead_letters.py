"""`stalk dead-letters` against a real broker."""

import json
import subprocess
import uuid
from typing import Any

import amqp
import psutil
import pytest

from integration.harness import Service, eventually
from stalk.celery.queues import dead_letter_queue_name
from stalk.dead_letters.shelf import BATCH

LIMIT = {"QUEUE_DELIVERY_LIMIT": "2"}
NO_TASK = b"\x80no task"


def dead_letters(service: Service, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = service.run("stalk", "dead-letters", *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "Received method" not in done.stderr, "py-amqp complains"
    return done


def shown(service: Service, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        dead_letters(service, "show", "--queue", service.queue, "--json", *words).stdout
    )
    return found


def dead(service: Service) -> int:
    return service.ready_messages(dead_letter_queue_name(service.queue))


def kill_by_rejection(service: Service, *ids: str) -> None:
    """Take what waits and refuse it, as a worker that cannot read a message does."""
    channel = service.channel()
    before = dead(service)
    for _ in ids:
        message = eventually(lambda: channel.basic_get(service.queue))
        channel.basic_reject(message.delivery_tag, requeue=False)
    eventually(lambda: dead(service) == before + len(ids))
    channel.connection.close()


@pytest.fixture
def three(service: Service) -> list[str]:
    """Three dead tasks, whose ids the API has handed out."""
    service.api()
    ids = [service.submit(f"word-{number}") for number in range(3)]
    kill_by_rejection(service, *ids)
    return ids


@pytest.mark.parametrize("service", [LIMIT | {"STEP_SECONDS": "0.4"}], indirect=True)
@pytest.mark.timeout(180)
def test_poison_task_is_replayed_under_its_id_and_succeeds(service: Service) -> None:
    service.api()
    worker = service.worker()
    task_id = service.submit("poison")

    def kill_whoever_runs_it() -> bool:
        if service.state(task_id)["status"] == "PROGRESS":
            for child in psutil.Process(worker.pid).children():
                child.kill()
        return dead(service) == 1

    eventually(kill_whoever_runs_it, timeout=90, interval=0.2)
    (letter,) = shown(service)
    assert (letter["id"], letter["reason"], letter["queue"]) == (task_id, "delivery_limit", service.queue)
    assert letter["task"] == "app.worker.celery_worker.test_celery"
    assert letter["args"] == "('poison',)"
    assert letter["state"] == service.state(task_id)["status"] != "PENDING"
    (summary,) = json.loads(dead_letters(service, "list", "--queue", service.queue, "--json").stdout)
    assert summary["tasks"] == [{"task": letter["task"], "reason": "delivery_limit", "count": 1}]
    assert (summary["count"], summary["oldest"]) == (1, letter["died"])

    def replay() -> str:
        done = dead_letters(service, "replay", "--queue", service.queue, "--id", task_id)
        assert done.stdout.startswith("replayed 1 ") or "it runs on" in done.stderr, "for a moment after it was killed"
        return done.stdout

    eventually(lambda: replay() == f"replayed 1 dead letter to {service.queue}\n")
    assert service.wait_for(task_id)["result"] == "test task return poison"
    assert dead(service) == 0


def test_replayed_message_is_the_same_without_its_history_and_waits(service: Service) -> None:
    service.api()
    task_id = service.submit("word")
    channel = service.channel()
    original = eventually(lambda: channel.basic_get(service.queue))
    channel.basic_reject(original.delivery_tag, requeue=False)
    eventually(lambda: dead(service) == 1)
    dead_letters(service, "replay", "--queue", dead_letter_queue_name(service.queue), "--all")
    again = eventually(lambda: channel.basic_get(service.queue))
    assert again.body == original.body
    assert again.properties == original.properties
    assert again.delivery_info["exchange"] == original.delivery_info["exchange"]
    assert again.delivery_info["routing_key"] == original.delivery_info["routing_key"]
    assert service.state(task_id) == {**service.state(task_id), "status": "PENDING", "code": 200}
    channel.connection.close()


@pytest.mark.parametrize("service", [{"STEP_SECONDS": "0"}], indirect=True)
def test_countdown_shows_why_it_died_and_not_that_it_waited(service: Service) -> None:
    service.api()
    task_id = service.submit("later", countdown=1)
    kill_by_rejection(service, task_id)
    (letter,) = shown(service)
    assert (letter["id"], letter["reason"], letter["queue"]) == (task_id, "rejected", service.queue)
    dead_letters(service, "replay", "--queue", service.queue, "--all")
    service.worker()
    service.wait_for(task_id)


@pytest.mark.timeout(240)
def test_thirty_looks_change_nothing(service: Service, three: list[str]) -> None:
    for number in range(30):
        if number % 2:
            found = shown(service)
            assert [letter["id"] for letter in found] == three, "order or number changed"
        else:
            dead_letters(service, "list", "--queue", service.queue)
    assert dead(service) == 3
    assert [letter["deliveries"] for letter in shown(service)] == [30, 30, 30], "RabbitMQ counts: the test has looked"


def test_id_picks_one_to_show_to_replay_and_to_drop(service: Service, three: list[str]) -> None:
    first, second, third = three
    assert [letter["id"] for letter in shown(service, "--id", second)] == [second]
    dead_letters(service, "replay", "--queue", service.queue, "--id", second)
    assert [letter["id"] for letter in shown(service)] == [first, third]
    dead_letters(service, "drop", "--queue", service.queue, "--id", third, "--yes")
    assert [letter["id"] for letter in shown(service)] == [first]
    dropped = service.state(third)
    assert (dropped["status"], dropped["error"]) == ("REVOKED", "dropped from the dead-letter queue")
    done = dead_letters(service, "replay", "--queue", service.queue, "--id", "none", "--id", first, code=1)
    assert done.stdout == f"replayed 1 dead letter to {service.queue}\n"
    assert done.stderr == (
        f"stalk dead-letters: 1 dead letter replayed, then: not in {service.queue}.dead-letters: none\n"
    )
    assert service.ready_messages(service.queue) == 2


def test_dry_run_and_a_drop_that_nobody_confirms_change_nothing(service: Service, three: list[str]) -> None:
    done = dead_letters(service, "replay", "--queue", service.queue, "--all", "--dry-run")
    assert [line.split()[2] for line in done.stdout.splitlines()] == three
    done = dead_letters(service, "drop", "--queue", service.queue, "--all", code=1)
    assert done.stderr == "stalk dead-letters: add --yes: there is no terminal to ask\n"
    assert [letter["id"] for letter in shown(service)] == three
    done = dead_letters(service, "drop", "--queue", service.queue, "--all", "--yes")
    assert done.stdout == f"dropped 3 dead letters of {service.queue}.dead-letters\n"
    assert dead(service) == 0


def test_message_that_is_no_task_is_listed_shown_put_back_and_dropped(service: Service) -> None:
    service.run("stalk", "topology", "--queue", service.queue)
    channel = service.channel()
    channel.auto_decode = False
    message = amqp.Message(NO_TASK, content_type="application/json", message_id="m1", priority=3, app_id="other")
    channel.basic_publish(message, "stalk", service.queue)
    kill_by_rejection(service, "no id")
    listed = dead_letters(service, "list", "--queue", service.queue).stdout
    assert "1 (no task)  rejected" in listed
    (letter,) = shown(service)
    assert (letter["id"], letter["args"]) == (None, repr(NO_TASK))
    dead_letters(service, "replay", "--queue", service.queue, "--all")
    again = eventually(lambda: channel.basic_get(service.queue))
    assert again.body == NO_TASK
    kept = {name: value for name, value in again.properties.items() if name != "application_headers"}
    assert kept == {"content_type": "application/json", "message_id": "m1", "priority": 3, "app_id": "other"}
    assert not again.properties.get("application_headers")
    channel.basic_reject(again.delivery_tag, requeue=False)
    eventually(lambda: dead(service) == 1)
    dead_letters(service, "drop", "--queue", service.queue, "--all", "--yes")
    assert dead(service) == 0
    channel.connection.close()


@pytest.mark.parametrize("service", [{"STEP_SECONDS": "0"}], indirect=True)
def test_task_that_has_succeeded_is_not_run_again(service: Service, three: list[str]) -> None:
    """A crash between confirm and acknowledgement leaves a dead letter of a task that runs and succeeds."""
    channel = service.channel()
    message = eventually(lambda: channel.basic_get(dead_letter_queue_name(service.queue)))
    channel.basic_publish_confirm(amqp.Message(message.body, **message.properties), "stalk", service.queue)
    channel.connection.close()
    service.worker()
    service.wait_for(three[0])
    done = dead_letters(service, "replay", "--queue", service.queue, "--all")
    assert done.stdout == f"replayed 2 dead letters to {service.queue}\n"
    assert f"left {three[0]}: it has succeeded; take it off with: " in done.stderr
    assert [letter["id"] for letter in shown(service)] == [three[0]]
    for task_id in three:
        service.wait_for(task_id)


def test_revoked_task_is_left(service: Service, three: list[str]) -> None:
    import httpx

    assert httpx.delete(f"{service.url}/tasks/{three[1]}", timeout=10).status_code in {200, 202, 204}
    done = dead_letters(service, "replay", "--queue", service.queue, "--all")
    assert f"left {three[1]}: it was revoked" in done.stderr
    assert service.state(three[1])["status"] == "REVOKED"
    assert dead(service) == 1


@pytest.mark.timeout(240)
def test_broker_killed_during_a_replay_loses_nothing(service: Service) -> None:
    """Every id is in one of the two queues afterwards; one may be in both, for its acknowledgement is on the way."""
    service.run("stalk", "topology", "--queue", service.queue)
    channel = service.channel()
    ids = [uuid.uuid4().hex for _ in range(400)]
    for task_id in ids:
        headers = {"id": task_id, "task": "any", "argsrepr": "()", "kwargsrepr": "{}"}
        channel.basic_publish(
            amqp.Message("[[], {}, {}]", application_headers=headers, delivery_mode=2), "stalk", service.queue
        )
    kill_by_rejection(service, *ids)
    eventually(service.written_down)
    replaying = service.start("replay", "stalk", "dead-letters", "replay", "--queue", service.queue, "--all")
    eventually(lambda: service.ready_messages(service.queue) > 20, interval=0.01)
    service.broker.kill()
    try:
        assert replaying.wait(60) == 1
    finally:
        service.broker.start()
    said = service.log("replay").strip()
    assert " dead letters replayed, then: no broker: " in said
    assert "\n" not in said

    def ids_in(queue: str) -> list[str]:
        channel = service.channel()
        found = []
        while message := channel.basic_get(queue):
            found.append(str((message.headers or {})["id"]))
        channel.connection.close()
        return found

    eventually(lambda: service.ready_messages(service.queue) + dead(service) >= 400, timeout=60)
    back, still = ids_in(service.queue), ids_in(dead_letter_queue_name(service.queue))
    assert set(back) | set(still) == set(ids)
    assert back, "killed too early to show anything"
    assert still, "killed too late to show anything"
    assert len(set(back) & set(still)) <= 1, "each is acknowledged before the next is published"
    assert len(back) == len(set(back))
    assert len(still) == len(set(still))

    eventually(lambda: service.ready_messages(service.queue) + dead(service) == len(back) + len(still))
    done = dead_letters(service, "replay", "--queue", service.queue, "--all")
    back, still = ids_in(service.queue), ids_in(dead_letter_queue_name(service.queue))
    assert len(back) == len(set(back)), "the second run has put one back that was there"
    assert set(back) | set(still) == set(ids)
    assert len(still) <= 1, f"more than the one that the first run was at: {done.stdout}{done.stderr}"


def test_replay_into_a_queue_that_is_gone_keeps_the_dead_letters(service: Service, three: list[str]) -> None:
    channel = service.channel()
    channel.queue_delete(service.queue)
    channel.connection.close()
    done = dead_letters(service, "replay", "--queue", service.queue, "--all", code=1)
    assert done.stderr == (
        f"stalk dead-letters: queue {service.queue!r} does not take it; run: stalk topology --queue {service.queue}\n"
    )
    assert dead(service) == len(three)


def test_replay_into_a_full_queue_keeps_the_dead_letters(service: Service, three: list[str]) -> None:
    channel = service.channel()
    channel.queue_delete(service.queue)
    full = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(service.queue, durable=True, auto_delete=False, arguments=full)
    channel.queue_bind(service.queue, "stalk", service.queue)
    channel.connection.close()

    def replay_until_refused() -> bool:
        done = service.run("stalk", "dead-letters", "replay", "--queue", service.queue, "--all")
        return "refuses messages: it is full" in done.stderr and done.returncode == 1

    eventually(replay_until_refused)
    assert dead(service) + service.ready_messages(service.queue) == len(three)


def test_dead_letter_queue_of_an_older_stalk_is_used_and_not_looked_into(service: Service) -> None:
    name = dead_letter_queue_name(service.queue)
    channel = service.channel()
    channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    done = service.run("stalk", "topology", "--queue", service.queue)
    assert done.returncode == 0
    assert f"queue {name!r} has another x-delivery-limit and is used as it is" in done.stderr
    channel.basic_publish(amqp.Message(NO_TASK), "stalk", service.queue)
    kill_by_rejection(service, "no id")
    assert "not looked into" in dead_letters(service, "list", "--queue", service.queue).stdout
    for words in (
        ["show"],
        ["replay", "--id", "any"],
        ["replay", "--all", "--dry-run"],
        ["drop", "--yes", "--id", "x"],
    ):
        done = dead_letters(service, words[0], "--queue", service.queue, *words[1:], code=1)
        assert f"then run: stalk topology --queue {service.queue}\n" in done.stderr
    peeked: Any = channel.basic_get(name)
    assert peeked.headers["x-delivery-count"] == 1, "somebody has looked; the rejection was the first"
    channel.basic_reject(peeked.delivery_tag, requeue=True)
    dead_letters(service, "replay", "--queue", service.queue, "--all")
    eventually(lambda: service.ready_messages(service.queue) == 1)
    channel.queue_delete(name)
    assert service.run("stalk", "topology", "--queue", service.queue).stderr == ""
    assert shown(service) == []
    channel.connection.close()


def test_apps_queues_are_listed_and_unknown_ones_named(service: Service, three: list[str]) -> None:
    for words in (["-A", "app.worker.celery_app"], []):
        service.settings.update({} if words else {"STALK_APP": "app.worker.celery_app", "STALK_QUEUES": '["more"]'})
        lines = dead_letters(service, "list", *words).stdout.splitlines()
        assert lines[0].split() == ["QUEUE", "DEAD", "OLDEST", "TASK", "REASON"]
        assert any(line.startswith(service.queue) and " 3 app.worker" in line for line in lines)
    assert any("does not exist; run: stalk topology --queue more" in line for line in lines)
    done = dead_letters(service, "show", "--queue", "nowhere", code=1)
    assert done.stderr == (
        f"stalk dead-letters: there is no queue 'nowhere.dead-letters'; there are: {service.queue}. "
        "Run: stalk dead-letters list\n"
    )


def test_redis_away_is_one_line_for_replay_and_does_not_hide_the_letters(service: Service, three: list[str]) -> None:
    service.settings["REDIS_PORT"] = "1"
    done = dead_letters(service, "show", "--queue", service.queue)
    assert all(task_id in done.stdout for task_id in three)
    assert "Redis does not answer" in done.stderr
    done = dead_letters(service, "replay", "--queue", service.queue, "--all", code=1)
    assert done.stderr.startswith("stalk dead-letters: Redis does not answer")
    assert dead(service) == len(three)


def test_no_broker_and_nothing_named_are_one_line(service: Service) -> None:
    done = dead_letters(service, "list", code=1)
    assert done.stderr == (
        "stalk dead-letters: name a Celery app (-A module:attr, or STALK_APP) or a queue (--queue NAME)\n"
    )
    service.settings["BROKER_PORT"] = "1"
    done = dead_letters(service, "list", "--queue", "any", code=1)
    assert done.stderr.startswith("stalk dead-letters: no broker: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["replay"], ["drop", "--yes"]], ids=["replay", "drop"])
def test_all_are_all_however_many(service: Service, command: list[str]) -> None:
    service.run("stalk", "topology", "--queue", service.queue)
    channel = service.channel()
    for number in range(3 * BATCH):
        headers = {"id": f"{service.queue}-{number}", "task": "any", "argsrepr": "()", "kwargsrepr": "{}"}
        message = amqp.Message("[[], {}, {}]", application_headers=headers)
        channel.basic_publish(message, "stalk.dead-letters", service.queue)
    eventually(lambda: dead(service) == 3 * BATCH)
    channel.connection.close()
    done = dead_letters(service, command[0], "--queue", service.queue, "--all", *command[1:])
    assert f" {3 * BATCH} dead letters " in done.stdout
    assert dead(service) == 0
    assert service.ready_messages(service.queue) == (3 * BATCH if command == ["replay"] else 0)


def test_list_looks_into_a_thousand_and_says_so(service: Service) -> None:
    service.run("stalk", "topology", "--queue", service.queue)
    channel = service.channel()
    for _ in range(1100):
        channel.basic_publish(amqp.Message(NO_TASK), "stalk.dead-letters", service.queue)
    eventually(lambda: dead(service) == 1100)
    channel.connection.close()
    listed = dead_letters(service, "list", "--queue", service.queue).stdout
    assert "1100" in listed
    assert "of the first 1000" in listed
    assert dead(service) == 1100
    assert len(shown(service, "--limit", "7")) == 7
    assert "1080 more; --limit N shows more of them" in dead_letters(service, "show", "--queue", service.queue).stdout
