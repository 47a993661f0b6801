"""The request: is the task that is asked for known?"""

from collections.abc import Iterator

from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding

__all__ = ["check"]


def check(facts: Facts) -> Iterator[Finding]:
    """Judge the task that was named with `--task-id`."""
    task = facts.redis.task if facts.redis else None
    if task is None or task.accepted or task.status:
        return
    if task.other_databases:
        yield Finding(
            "redis-differs",
            f"task {task.id} is not in {facts.app.results}, which {facts.app.name} reads, but in database "
            f"{', '.join(map(str, task.other_databases))} of the same Redis",
            f"REDIS_DB={task.other_databases[0]}   # in the environment of API and workers: the same in both",
        )
    else:
        yield Finding(
            "task-unknown",
            f"{facts.app.results} holds neither a result of {task.id} nor the note that it was accepted",
            "celery: {resultExpiresSeconds: 604800}   # values.yaml: keeps results for a week; submit the task again",
        )
