"""`stalk dead-letters` after one of its runs was cut off: what may have a copy is neither run twice nor lost."""

import re
import shlex
import time

import amqp
import httpx
import psutil
import pytest

from integration.harness import Service, eventually
from integration.test_dead_letters import dead, dead_letters, kill_by_rejection, shown
from stalk.celery.queues import dead_letter_queue_name

pytestmark = pytest.mark.timeout(180)

CUT_OFF = """
import os
from stalk.cli import main
from stalk.dead_letters.shelf import Shelf
from stalk.dead_letters.states import Known, States
{where} = lambda *_: {what}
main(["dead-letters", "replay", "--queue", "{queue}", "--all"])
"""
BEFORE_PUBLISH = ("Shelf.put_back", "os._exit(9)")
BEFORE_ACKNOWLEDGEMENT = ("Shelf.drop", "os._exit(9)")
ACKNOWLEDGEMENT_LOST = ("Shelf.drop", "None")
BOTH_LOOK_AT_ONCE = ("States.known", "Known('PENDING', revoked=False, worker=None, replayed=None)")


@pytest.fixture
def letter(service: Service) -> str:
    """One dead task, whose id the API has handed out."""
    service.api()
    task_id = service.submit()
    kill_by_rejection(service, task_id)
    return task_id


def cut_off(service: Service, where: str, what: str, code: int = 9) -> str:
    """Replay all with a point of a letter's way replaced; return what was said."""
    done = service.run("python", "-c", CUT_OFF.format(where=where, what=what, queue=service.queue))
    assert done.returncode == code, done.stdout + done.stderr
    eventually(lambda: dead(service) == 1)
    return done.stderr


def copied_by_hand(service: Service) -> None:
    """Do what a replay of an older Stalk did that was cut off before its acknowledgement."""
    channel = service.channel()
    message = eventually(lambda: channel.basic_get(dead_letter_queue_name(service.queue)))
    channel.basic_publish_confirm(amqp.Message(message.body, **message.properties), "stalk", service.queue)
    channel.connection.close()
    eventually(lambda: dead(service) == 1)


def replay(service: Service, *words: str) -> tuple[int, str]:
    """Return how many were put back, and what was said of the others."""
    done = dead_letters(service, "replay", "--queue", service.queue, *(words or ("--all",)))
    found = re.fullmatch(r"replayed (\d+) dead letters? to (.*)\n", done.stdout)
    assert found, done.stdout
    return int(found[1]), done.stderr


def times_received(service: Service, task_id: str) -> int:
    return service.log("worker").count(f"[{task_id}] received")


@pytest.mark.parametrize(
    ("where", "code"), [(BEFORE_ACKNOWLEDGEMENT, 9), (ACKNOWLEDGEMENT_LOST, 0)], ids=["crash", "lost"]
)
def test_copy_that_waits_is_not_doubled(service: Service, letter: str, where: tuple[str, str], code: int) -> None:
    cut_off(service, *where, code)
    assert service.ready_messages(service.queue) == 1
    for _ in range(2):
        number, said = replay(service)
        assert number == 0
        assert re.search(rf"left {letter}: a replay put it back at \d{{4}}-.* UTC, or was cut off just before", said)
        assert "(state PENDING)" in said
    done = dead_letters(service, "replay", "--queue", service.queue, "--all", "--dry-run")
    assert (done.stdout, done.stderr) == ("", said)
    assert (service.ready_messages(service.queue), dead(service)) == (1, 1)

    service.worker()
    service.wait_for(letter)
    assert "it has succeeded; take it off with: " in replay(service)[1]
    dead_letters(service, "drop", "--queue", service.queue, "--all", "--yes")
    assert dead(service) == 0
    assert service.state(letter)["status"] == "SUCCESS"
    assert times_received(service, letter) == 1


@pytest.mark.parametrize("noted", [True, False], ids=["by-this-stalk", "by-hand"])
@pytest.mark.parametrize("service", [{"STEP_SECONDS": "0.5"}], indirect=True)
def test_copy_that_runs_is_neither_doubled_nor_called_revoked(service: Service, letter: str, noted: bool) -> None:
    if noted:
        cut_off(service, *BEFORE_ACKNOWLEDGEMENT)
    else:
        copied_by_hand(service)
    worker = psutil.Process(service.worker().pid)
    service.wait_for(letter, "PROGRESS")
    (process,) = worker.children()
    process.suspend()  # its task runs for as long as this looks
    if noted:  # from its first moment, when no worker has said yet that it runs
        assert replay(service)[0] == 0
        done = dead_letters(service, "drop", "--queue", service.queue, "--all", "--yes")
        assert done.stdout == f"dropped 0 dead letters of {service.queue}.dead-letters\n"
        assert f"left {letter}: " in done.stderr
    else:
        eventually(
            lambda: "it runs on" in dead_letters(service, "replay", "-q", service.queue, "--all", "--dry-run").stderr
        )
    eventually(lambda: "it runs on" in replay(service)[1], interval=0.2)
    assert "it runs on" in replay(service, "--id", letter, "--again")[1], "no word runs it twice"
    done = dead_letters(service, "drop", "--queue", service.queue, "--all", "--yes")
    assert re.search(rf"left {letter}: it runs on .*; run this again when it has ended\n", done.stderr)
    assert service.state(letter)["status"] == "PROGRESS"
    assert (service.ready_messages(service.queue), dead(service)) == (0, 1)
    process.resume()
    service.wait_for(letter)
    assert times_received(service, letter) == 1
    eventually(lambda: "dropped 1 " in dead_letters(service, "drop", "-q", service.queue, "--all", "--yes").stdout)
    assert service.state(letter)["status"] == "SUCCESS"


def test_of_two_replays_that_both_think_they_may_one_does(service: Service, letter: str) -> None:
    """RabbitMQ has given the letter to the second; the first does not know yet that its connection is gone."""
    cut_off(service, *BEFORE_ACKNOWLEDGEMENT)
    assert cut_off(service, *BOTH_LOOK_AT_ONCE, code=0) == f"left {letter}: another replay has it\n"
    assert service.ready_messages(service.queue) == 1


def test_drop_keeps_a_copy_that_waits_from_running(service: Service, letter: str) -> None:
    cut_off(service, *BEFORE_ACKNOWLEDGEMENT)
    done = dead_letters(service, "drop", "--queue", service.queue, "--id", letter, "--yes")
    assert re.fullmatch(rf"revoked {letter}: the copy of \d{{4}}-.* UTC will not run\n", done.stderr)
    assert dead(service) == 0
    assert service.state(letter)["status"] == "REVOKED"
    service.worker()
    service.wait_for(service.submit())
    assert times_received(service, letter) == 1
    assert service.state(letter)["status"] == "REVOKED"


def test_letter_that_was_never_published_is_put_back_by_the_line_to_paste(service: Service, letter: str) -> None:
    cut_off(service, *BEFORE_PUBLISH)
    assert service.ready_messages(service.queue) == 0
    number, said = replay(service)
    assert number == 0
    done = service.run(*shlex.split(said.rpartition("If there is none: ")[2]))
    assert done.stdout == f"replayed 1 dead letter to {service.queue}\n"
    assert (service.ready_messages(service.queue), dead(service)) == (1, 0)
    service.worker()
    service.wait_for(letter)
    refused = dead_letters(service, "replay", "--queue", service.queue, "--all", "--again", code=1)
    assert refused.stderr == "stalk dead-letters: --again takes --id: name the tasks that neither wait nor run\n"


def test_letter_that_the_queue_refused_is_put_back_when_it_is_there(service: Service, letter: str) -> None:
    channel = service.channel()
    channel.queue_delete(service.queue)
    channel.connection.close()
    dead_letters(service, "replay", "--queue", service.queue, "--all", code=1)
    service.run("stalk", "topology", "--queue", service.queue)
    assert replay(service) == (1, "")


def test_task_that_dies_again_is_another_letter(service: Service, letter: str) -> None:
    for _ in range(2):
        (before,) = shown(service)
        assert replay(service) == (1, "")
        eventually(lambda before=before: time.strftime("%FT%T", time.gmtime()) > before["died"])  # type: ignore[misc]
        kill_by_rejection(service, letter)
    assert replay(service) == (1, "")


def test_task_that_was_revoked_is_left_whatever_is_said(service: Service, letter: str) -> None:
    cut_off(service, *BEFORE_ACKNOWLEDGEMENT)
    assert httpx.delete(f"{service.url}/tasks/{letter}", timeout=10).is_success
    assert "it was revoked" in replay(service, "--id", letter, "--again")[1]
