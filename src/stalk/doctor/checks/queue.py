"""The queue: is it there, as it should be, and is it worked off?"""

import json
import re
from collections.abc import Iterator
from typing import Any

from stalk.celery.queues import dead_letter_queue_name
from stalk.doctor.facts import Facts, WorkerFacts
from stalk.doctor.findings import Finding

__all__ = ["check"]

DEFAULT_CONSUMER_TIMEOUT = 1800.0
"""RabbitMQ's own, in seconds (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout)."""


def check(facts: Facts) -> Iterator[Finding]:
    """Judge the app's queues, and what workers hold of them."""
    if facts.broker is None or facts.broker.problem:
        return
    broker = facts.broker
    for name in broker.missing_queues:
        yield Finding(
            "queue-missing",
            f"queue {name} does not exist in vhost {facts.app.vhost} of {facts.app.broker.rpartition('/')[0]}",
            facts.place.stalk("topology", "--queue", name),
        )
    for name, answer in broker.inequivalent.items():
        yield Finding(
            "queue-arguments",
            answer,
            f"{facts.place.rabbitmqctl('list_queues', '--vhost', facts.app.vhost, 'name', 'messages', 'arguments')}   "
            "# use another name; or when it has no message any more: "
            f"{facts.place.rabbitmqctl('delete_queue', '--vhost', facts.app.vhost, name)} && "
            f"{facts.place.stalk('topology', '--queue', name)}",
        )
    for name in facts.app.queues:
        ready = broker.ready.get(name, 0)
        if ready and not broker.consumers.get(name, 0):
            yield Finding(
                "queue-no-consumer",
                f"queue {name} has {ready} ready messages and no consumer",
                facts.place.look("pods,scaledobjects") if facts.place.namespace else facts.celery("worker", "-Q", name),
            )
        dead = broker.ready.get(dead_letter_queue_name(name), 0)
        if dead:
            yield Finding(
                "dead-letters",
                f"{dead_letter_queue_name(name)} holds {dead} messages",
                f"{facts.place.stalk('dead-letters', 'list', '-q', name)}   # which tasks, and why",
            )
    if facts.workers is not None:
        yield from _hoarding(facts.workers)
        yield from _held(facts, facts.workers)
        yield from _timeouts(facts, facts.workers)


def _hoarding(workers: WorkerFacts) -> Iterator[Finding]:
    for name, stats in sorted(workers.stats.items()):
        slots = int((stats.get("pool") or {}).get("max-concurrency") or 0)
        prefetch = int(stats.get("prefetch_count") or 0)
        # Celery counts what runs among the reserved.
        running = {each.get("id") for each in workers.active.get(name, ())}
        waiting = [each for each in workers.reserved.get(name, ()) if each.get("id") not in running]
        if slots and waiting and (prefetch > slots or prefetch == 0):
            yield Finding(
                "prefetch-hoarding",
                f"{name} has {slots} slots, a prefetch of {prefetch or 'no limit'}, and holds {len(waiting)} tasks "
                "that it has not started",
                "worker_prefetch_multiplier = 1; task_acks_late = True   # stalk.celery.configure sets both",
            )


def _held(facts: Facts, workers: WorkerFacts) -> Iterator[Finding]:
    for name, tasks in sorted(workers.scheduled.items()):
        if tasks:
            request: dict[str, Any] = tasks[0].get("request") or {}
            yield Finding(
                "eta-held",
                f"{name} holds {len(tasks)} tasks that are not due; the first is {request.get('name', 'a task')} "
                f"at {tasks[0].get('eta')}",
                f"configure(app, settings, queues={list(facts.app.queues)})   # from stalk.celery: quorum queues on a "
                "topic exchange, where RabbitMQ keeps such tasks",
            )


def _timeouts(facts: Facts, workers: WorkerFacts) -> Iterator[Finding]:
    for queue in facts.app.queues:
        timeout, source = _consumer_timeout(facts, queue)
        names = workers.consuming(queue)
        longest, what = 0.0, ""
        for name in names:
            for task in workers.active.get(name, ()):
                age = workers.now - float(task.get("time_start") or workers.now)
                if age > longest:
                    longest, what = age, f"task {task.get('name')} has run for {age:.0f} s on {name}"
            limit = float(workers.conf.get(name, {}).get("task_time_limit") or 0)
            if limit > longest:
                longest, what = limit, f"{name} lets a task run for {limit:.0f} s (task_time_limit)"
        if longest >= timeout:
            pattern = f"^{re.escape(queue)}$"
            policy = json.dumps({"consumer-timeout": int(longest * 2 + 300) * 1000})
            words = ("set_policy", "--vhost", facts.app.vhost, "--apply-to", "queues", "long", pattern, policy)
            yield Finding(
                "consumer-timeout",
                f"queue {queue}: {what}, consumer_timeout is {timeout:.0f} s ({source})",
                f"{facts.place.rabbitmqctl(*words)}   # or longestTaskSeconds in values.yaml",
            )


def _consumer_timeout(facts: Facts, queue: str) -> tuple[float, str]:
    """Return the time limit of a queue in seconds, and where it comes from."""
    seen = facts.management.queue(facts.app.vhost, queue) if facts.management else {}
    found = [
        (int(value) / 1000, source)
        for value, source in (
            ((seen.get("arguments") or {}).get("x-consumer-timeout"), "argument of the queue"),
            ((seen.get("effective_policy_definition") or {}).get("consumer-timeout"), "policy"),
        )
        if value
    ]
    return min(found) if found else (facts.consumer_timeout or DEFAULT_CONSUMER_TIMEOUT, facts.consumer_timeout_from)
