"""The workers: do they know the tasks, and can they be seen?"""

from collections.abc import Iterator

from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding

__all__ = ["check"]


def check(facts: Facts) -> Iterator[Finding]:
    """Judge the workers that consume the app's queues."""
    yield from _unregistered(facts)
    if facts.workers is None or facts.broker is None:
        return
    silent = {}
    for queue in facts.app.queues:
        consumers, answering = facts.broker.consumers.get(queue, 0), len(facts.workers.consuming(queue))
        if consumers > answering:
            silent[queue] = (consumers, answering)
            yield Finding(
                "remote-control-off",
                f"queue {queue} has {consumers} consumers, {answering} workers of it answer remote control",
                "worker_enable_remote_control = True   # in the app that the workers run",
            )
    heard = facts.workers.heartbeats
    if heard is None:
        return
    mute = sorted({name for queue in facts.app.queues for name in facts.workers.consuming(queue)} - heard)
    if mute:
        yield Finding(
            "events-off",
            f"no heartbeat event came from {', '.join(mute)}",
            "celery -A <app> worker …   # without --without-heartbeat; in values.yaml: extraArgs of the pool",
        )
    elif silent and not heard:
        queue, (consumers, _) = next(iter(silent.items()))
        yield Finding(
            "events-off",
            f"queue {queue} has {consumers} consumers, and no worker sent a heartbeat event",
            "celery -A <app> worker …   # without --without-heartbeat; in values.yaml: extraArgs of the pool",
        )


def _unregistered(facts: Facts) -> Iterator[Finding]:
    refused = dict(facts.redis.not_registered) if facts.redis else {}
    named = facts.redis.task if facts.redis else None
    if named is not None and named.error == "NotRegistered" and named.id not in refused.values():
        refused["a task"] = named.id
    for task, task_id in sorted(refused.items()):
        yield Finding(
            "task-not-registered",
            f"a worker refused {task} as not registered (id {task_id})",
            f"Celery(…, include=[{task.rpartition('.')[0]!r}])   # in the app that the workers run, and celery.app in "
            "values.yaml names that app",
        )
    if facts.workers is None:
        return
    for task, queue in facts.app.tasks.items():
        lacking = [
            name
            for name in facts.workers.consuming(queue)
            if name in facts.workers.registered
            and not any(each.partition(" ")[0] == task for each in facts.workers.registered[name])
        ]
        if lacking and task not in refused:
            yield Finding(
                "task-not-registered",
                f"{facts.app.name} may send {task} to {queue}; not registered on {', '.join(lacking)}",
                f"Celery(…, include=[{task.rpartition('.')[0]!r}])   # in the app that the workers run, and celery.app "
                "in values.yaml names that app",
            )
