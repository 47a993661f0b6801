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
            _without_heartbeat(facts),
        )
    elif silent and not heard:
        queue, (consumers, _) = next(iter(silent.items()))
        yield Finding(
            "events-off",
            f"queue {queue} has {consumers} consumers, and no worker sent a heartbeat event",
            _without_heartbeat(facts),
        )


def _without_heartbeat(facts: Facts) -> str:
    if facts.place.namespace:
        look = facts.place.kubectl("get", "deployments", "-l", facts.place.selector("worker"), "-o", "yaml")
        return f"{look} | grep -e --without-heartbeat   # it comes from extraArgs of the pool in values.yaml"
    start = facts.celery("worker", "-Q", ",".join(facts.app.queues))
    return f"{start}   # as it is started, and no --without-heartbeat"


def _imports(facts: Facts, task: str) -> str:
    """Return what brings a task's code into a worker, or what shows the tasks that it has, where that is not known."""
    module = task.rpartition(".")[0]
    if not module:
        return f"{facts.celery('inspect', 'registered')}   # the app that the workers run lacks it"
    return (
        f"app.conf.imports = [*app.conf.imports, {module!r}]   # of the app that the workers run; celery.app in "
        "values.yaml names that app"
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
            _imports(facts, task),
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
                _imports(facts, task),
            )
