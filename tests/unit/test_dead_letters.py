"""What is read off a dead letter, and how it is told."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from amqp import Message
from hypothesis import given
from hypothesis import strategies as st

from stalk.cli import main
from stalk.dead_letters.letter import DeadLetter, clean_headers, shortened
from stalk.dead_letters.session import run
from stalk.dead_letters.shelf import task_queue_name
from stalk.dead_letters.summary import Summary
from stalk.dead_letters.text import age, letter_text, summaries_text

DIED = datetime(2026, 11, 25, 13, 59, 15)
DEATH = {
    "count": 2,
    "reason": "delivery_limit",
    "queue": "mail",
    "time": DIED,
    "exchange": "stalk",
    "routing-keys": ["mail"],
}
WAITED = {"count": 1, "reason": "expired", "queue": "celery_delayed_0", "time": DIED, "exchange": "celery_delayed_27"}
HISTORY = {"x-death": [DEATH, WAITED], "x-first-death-reason": "expired", "x-last-death-reason": "delivery_limit"}
TASK = {"id": "abc", "task": "shop.send", "argsrepr": "('you',)", "kwargsrepr": "{'fast': True}", "retries": 3}


def letter(headers: Any = None, body: Any = b"[[], {}, {}]") -> DeadLetter:
    return DeadLetter.read(Message(body, application_headers=headers) if headers is not None else Message(body))


def test_reads_the_last_death_and_not_the_end_of_a_countdown() -> None:
    found = letter(TASK | HISTORY | {"x-delivery-count": 4, "origin": "1@pod"})
    assert found == DeadLetter(
        id="abc",
        task="shop.send",
        args="('you',) {'fast': True}",
        reason="delivery_limit",
        died=DIED.replace(tzinfo=UTC),
        deaths=2,
        queue="mail",
        exchange="stalk",
        routing_key="mail",
        retries=3,
        origin="1@pod",
        deliveries=4,
    )
    assert json.loads(json.dumps(found.as_json()))["died"] == "2026-11-25T13:59:15+00:00"


def test_looking_makes_no_other_letter_and_dying_again_does() -> None:
    one = letter(TASK | HISTORY).death
    assert letter(TASK | HISTORY | {"x-delivery-count": 9}).death == one
    for change in ({"time": DIED + timedelta(seconds=1)}, {"reason": "rejected"}, {"count": 3}, {"queue": "other"}):
        assert letter(TASK | {"x-death": [DEATH | change]}).death != one
    assert letter(TASK).death == letter(TASK | {"x-delivery-count": 9}).death != one


def test_arguments_come_from_the_body_where_no_repr_was_sent() -> None:
    headers = {"id": "abc", "task": "shop.send"}
    assert letter(headers, b'[["you"], {"fast": true}, {}]').args == "['you'] {'fast': True}"
    assert letter(headers, b"pickled").args == "b'pickled'"


def test_what_is_no_task_has_no_id_and_a_short_body() -> None:
    found = letter(None, b"\x80" * 1000)
    assert (found.id, found.task, found.reason, found.died) == (None, None, None, None)
    assert found.args.startswith("b'\\x80\\x80")
    assert len(found.args) < 300
    assert letter({"id": "abc"}).id is None, "a message without a task's name is no task"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = st.sampled_from([*TASK, *HISTORY, "origin", "x-delivery-count", "other"])


@given(headers=st.dictionaries(NAMES, json_values), body=st.binary() | st.text())
def test_nothing_in_a_message_makes_reading_or_telling_fail(headers: dict[str, Any], body: Any) -> None:
    found = letter(headers, body)
    json.dumps(found.as_json())
    found.death.encode()
    letter_text(found, None)
    summary = Summary("mail", 1)
    summary.add(found)
    json.dumps(summary.as_json())
    summaries_text([summary])


@given(headers=st.dictionaries(st.text().filter(lambda name: not name.startswith("x-")), json_values))
def test_cleaning_takes_the_history_and_nothing_else(headers: dict[str, Any]) -> None:
    history = HISTORY | {"x-delivery-count": 1, "x-acquired-count": 1, "x-last-death-queue": "mail"}
    assert clean_headers(headers | history | {"x-mine": 1}) == headers | {"x-mine": 1}


def test_long_text_says_how_much_is_missing() -> None:
    assert shortened("abcdef", 4) == "abcd… (2 more)"
    assert shortened("abcd", 4) == "abcd"


def test_list_is_a_table_by_task_and_reason() -> None:
    mail = Summary("mail", 4)
    for headers in (TASK | HISTORY, TASK | HISTORY, {"x-death": [DEATH | {"time": DIED - timedelta(hours=2)}]}):
        mail.add(letter(headers))
    text = summaries_text([mail, Summary("images", 0)], (DIED + timedelta(minutes=5)).replace(tzinfo=UTC))
    assert text.splitlines() == [
        "QUEUE   DEAD  OLDEST  TASK         REASON",
        "mail    4     2h      2 shop.send  delivery_limit  of the first 3",
        "                      1 (no task)  delivery_limit  of the first 3",
        "images  0     -       -            -",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (-5, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (200_000, "2d")]
)
def test_age_has_one_unit(seconds: int, text: str) -> None:
    assert age(timedelta(seconds=seconds)) == text


def test_letter_shows_only_what_it_knows() -> None:
    assert letter_text(letter(TASK | HISTORY), "STARTED").splitlines() == [
        "abc",
        "  task         shop.send",
        "  args         ('you',) {'fast': True}",
        "  reason       delivery_limit",
        "  died         2026-11-25 13:59:15 UTC",
        "  times here   2",
        "  from queue   mail",
        "  published to stalk with mail",
        "  retries      3",
        "  state        STARTED",
        "  deliveries   0",
    ]


def test_either_queue_may_be_named() -> None:
    assert task_queue_name("mail.dead-letters") == task_queue_name("mail") == "mail"


@pytest.mark.parametrize("text", ["mail", '"mail"', "[1]", "{}"])
def test_queues_of_the_environment_must_be_a_list(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("STALK_QUEUES", text)
    problem = run(None, [], "read", lambda _: None)
    assert problem == f"STALK_QUEUES must be a JSON list of queue names, not {text!r}"


@pytest.mark.parametrize(
    "words",
    [
        ["show"],
        ["replay", "--queue", "mail"],
        ["replay", "--queue", "mail", "--all", "--id", "abc"],
        ["drop", "--queue", "mail"],
        ["show", "--queue", "mail", "--limit", "0"],
        [],
    ],
)
def test_incomplete_command_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dead-letters", *words])
    assert ended.value.code == 2
    assert "usage: stalk dead-letters" in capsys.readouterr().err
