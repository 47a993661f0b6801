"""The queues that a Celery app is given."""

from typing import Any

import pytest
from celery import Celery
from celery.utils.quorum_queues import detect_quorum_queues

from stalk.celery import configure
from stalk.celery.queues import check_names, dead_letter_queue
from stalk.settings import ConnectionSettings


@pytest.fixture
def app() -> Celery:
    settings = ConnectionSettings.model_validate({"queue_delivery_limit": 7})
    return configure(Celery("test", set_as_current=False), settings, ["mail", "pictures"])


def test_task_queue_keeps_what_it_gives_up_on(app: Celery) -> None:
    arguments: dict[str, Any] = app.amqp.queues["mail"].queue_arguments or {}
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-delivery-limit"] == 7
    dead = dead_letter_queue("mail")
    assert (arguments["x-dead-letter-exchange"], arguments["x-dead-letter-routing-key"]) == (
        dead.exchange.name,
        dead.routing_key,
    )


def test_delayed_delivery_is_found_and_possible(app: Celery) -> None:
    assert detect_quorum_queues(app, "amqp")[0]
    assert {queue.exchange.type for queue in app.amqp.queues.values()} == {"topic"}


def test_queue_that_only_the_command_line_names_is_made_the_same_way(app: Celery) -> None:
    app.amqp.queues.select(["gpu"])
    made, known = app.amqp.queues["gpu"], app.amqp.queues["mail"]
    assert made.queue_arguments == (known.queue_arguments or {}) | {"x-dead-letter-routing-key": "gpu"}
    assert (made.exchange, made.routing_key) == (known.exchange, "gpu")


def test_first_queue_is_the_default(app: Celery) -> None:
    routed = app.amqp.router.route({}, "any.task")
    assert routed["queue"].name == "mail"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "at least one queue"),
        ([""], "must have 1 to 200 bytes"),
        (["a", "a"], "'a' is named twice"),
        (
            ["mail", "high.mail"],
            "queue 'high.mail' ends in queue 'mail': a delayed task for the first would reach both",
        ),
    ],
)
def test_names_that_cannot_stand_together_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_names(names)


def test_conflict_with_a_queue_named_later_is_refused(app: Celery) -> None:
    with pytest.raises(ValueError, match=r"'fast\.mail' ends in queue 'mail'"):
        app.amqp.queues["fast.mail"]
