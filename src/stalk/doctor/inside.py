"""The doctor where an app's environment is: in a pod, or on a developer's machine."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from stalk.celery.queues import DEAD_LETTER_EXCHANGE
from stalk.doctor.catalogue import Link
from stalk.doctor.checks import check
from stalk.doctor.facts import BrokerFacts, Facts, WorkerFacts
from stalk.doctor.findings import Unchecked
from stalk.doctor.gather import Running, start
from stalk.doctor.paste import Variable, setting, shell
from stalk.doctor.report import Report
from stalk.doctor.sources.api import ask_api
from stalk.doctor.sources.broker import ask_broker
from stalk.doctor.sources.management import ask_management
from stalk.doctor.sources.results import ask_redis
from stalk.doctor.sources.workers import NotAsked, ask_workers
from stalk.doctor.target import Target

__all__ = ["LIMIT_SECONDS", "Asked", "examine", "gather"]

LIMIT_SECONDS = 13.0
"""For everything; the process's start and end fit into what is left to 15."""

WORKERS_SECONDS = 9.0
"""What asking workers may take: for their heartbeats, and again for those that sent none."""

WITH_APP = shell("stalk", "doctor", "-A", Variable("STALK_APP"))

T = TypeVar("T")


class Asked:
    """What the command line asks for beside the app."""

    def __init__(self, task_id: str | None = None, api_url: str | None = None) -> None:
        self.task_id, self.api_url = task_id, api_url


def examine(target: Target, asked: Asked, began: float) -> Report:
    """Look at everything that can be seen without Kubernetes.

    Args:
        target: the app.
        asked: what else is wanted.
        began: when the process began, as `time.monotonic()`.
    """
    unchecked: list[Unchecked] = []
    facts = gather(target, asked, began + LIMIT_SECONDS, unchecked)
    return Report(check(facts), unchecked, seen(facts, asked), time.monotonic() - began)


def gather(target: Target, asked: Asked, deadline: float, unchecked: list[Unchecked]) -> Facts:
    """Ask broker, management API, Redis, workers and API at the same time; note what cannot be asked."""

    def wait(source: Running[T], what: str, links: Sequence[Link], paste: str = "") -> T | None:
        try:
            return source.result(deadline)
        except Exception as error:
            if not any(each.what == what for each in unchecked):  # or it is said already why there is no way to it
                unchecked.append(Unchecked(tuple(links), what, str(error) or type(error).__name__, paste))
            return None

    facts = Facts(target.facts, api_url=asked.api_url or "")
    broker = start(_broker_and_workers, target, deadline)
    management = start(ask_management, target)
    redis = start(ask_redis, target, asked.task_id) if target.facts.results.partition(":")[2] else None
    api = start(ask_api, asked.api_url) if asked.api_url else None
    found = wait(broker, "the broker", ("API", "exchange", "queue", "worker"))
    facts.broker, facts.workers, unasked = found or (None, None, "")
    facts.management = wait(
        management,
        "the broker's management API",
        ("scaler",),
        f"{setting('BROKER_MANAGEMENT_URL', _management_url(target))} stalk doctor",
    )
    if redis is not None:
        facts.redis = wait(redis, "Redis", ("request", "result"))
    if api is not None:
        facts.api_problem = wait(api, "the API", ("API",)) or ""
    if unasked:
        unchecked.append(Unchecked(("queue", "worker"), "workers", unasked, _rights(facts, "celery.pidbox")))
    elif facts.broker is not None and facts.workers is None:
        unchecked.append(Unchecked(("exchange", "queue", "worker"), "queues and workers", "no login to the broker"))
    if facts.workers is not None and facts.workers.heartbeats is None:
        paste = _rights(facts, "celeryev")
        unchecked.append(Unchecked(("worker",), "heartbeat events of workers", facts.workers.deaf, paste))
    if facts.management is not None and facts.management.unseen:
        unchecked.append(Unchecked(("exchange",), "bindings", facts.management.unseen, _rights(facts)))
    if target.facts.assumed:
        _leave_to_the_app(facts, unchecked)
    if not target.facts.queues:
        unchecked.append(Unchecked(("queue",), "queues", "none is named", f"{WITH_APP}   # or -q and a queue"))
    return facts


def _management_url(target: Target) -> str:
    """Return where RabbitMQ's management API is unless somebody has moved it."""
    host, _, port = target.facts.broker.partition("/")[0].rpartition(":")
    return f"https://{host}:15671" if port == "5671" else f"http://{host}:15672"


def _rights(facts: Facts, names: str = "") -> str:
    """Return the line that shows who may what, and what is wanted: of AMQP names, or any right at all."""
    wanted = f"configure, write and read of names with {names}" if names else "any, such as '^$' '^$' '^$'"
    return f"{facts.place.rabbitmqctl('list_permissions', '--vhost', facts.app.vhost)}   # wanted: {wanted}"


def _leave_to_the_app(facts: Facts, unchecked: list[Unchecked]) -> None:
    """Take back what is held against queues that Stalk has not declared: only their app knows how they shall be."""
    if facts.broker is None:
        return
    ours = {}
    for name, answer in facts.broker.inequivalent.items():
        declared = facts.management.queue(facts.app.vhost, name).get("arguments") if facts.management else None
        if (declared or {}).get("x-dead-letter-exchange") == DEAD_LETTER_EXCHANGE.name:
            ours[name] = answer
        else:
            unchecked.append(Unchecked(("queue",), f"arguments of queue {name}", answer, WITH_APP))
    facts.broker = replace(facts.broker, inequivalent=ours)


def _broker_and_workers(target: Target, deadline: float) -> tuple[BrokerFacts, WorkerFacts | None, str]:
    """Return what both say, and why workers could not be asked by one who may log in."""
    broker = ask_broker(target)
    if broker.problem is not None:
        return broker, None, ""
    # The first worker takes a few seconds: a queue that has just been filled is not one without consumer.
    while _waits(broker) and time.monotonic() < deadline - WORKERS_SECONDS:
        time.sleep(1)
        broker = ask_broker(target)
    try:
        workers = ask_workers(target.app, sum(broker.consumers.values()))
    except NotAsked as error:
        return broker, None, str(error)
    if any(number > len(workers.consuming(queue)) for queue, number in broker.consumers.items()):
        # A worker may have ended since; only a consumer that is still there hides.
        again = ask_broker(target).consumers
        left = {queue: min(number, again.get(queue, 0)) for queue, number in broker.consumers.items()}
        broker = replace(broker, consumers=left)
    return broker, workers, ""


def _waits(broker: BrokerFacts) -> bool:
    return any(broker.ready.get(queue) and not number for queue, number in broker.consumers.items())


def seen(facts: Facts, asked: Asked) -> dict[Link, str]:
    """Say in a line what was looked at, for each link that was."""
    said: dict[Link, str] = {}
    if facts.redis is not None and facts.redis.task is not None:
        task = facts.redis.task
        said["request"] = f"task {task.id} is {task.status or 'PENDING'}"
    if facts.broker is not None:
        answers = f"{asked.api_url} answers, " if asked.api_url else ""
        said["API"] = f"{answers}{facts.app.name} logs in to {facts.app.broker}"
    if facts.broker is not None and not facts.broker.problem and facts.app.queues:
        said["exchange"] = "exchanges are declared" + (
            ", queues are bound" if facts.management and facts.management.bindings is not None else ""
        )
        said["queue"] = ", ".join(
            f"{name}: {facts.broker.ready.get(name, 0)} ready, {facts.broker.consumers.get(name, 0)} consumers"
            for name in facts.app.queues
        )
    if facts.workers is not None:
        names = sorted({name for queue in facts.app.queues for name in facts.workers.consuming(queue)})
        do = "answer" if facts.workers.heartbeats is None else "answer and send events"
        said["worker"] = f"{', '.join(names)} {do}" if names else "none runs, and none is needed"
    if facts.redis is not None:
        said["result"] = f"{facts.app.results} takes results"
    if facts.management is not None:
        said["scaler"] = "the management API gives queue lengths"
    return said
