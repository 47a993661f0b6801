"""Names of what Stalk keeps in the result store beside Celery's own results."""

__all__ = ["WAITS_KEY", "accepted_key", "replayed_key", "revoked_key", "running_key"]

WAITS_KEY = "stalk:waits"
"""The hash that all workers add up in how long tasks have waited; `stalk.celery.waits` says what is in it."""


def accepted_key(task_id: str) -> str:
    """Return the key that says that this id was handed out; it holds the queue's name."""
    return f"stalk:accepted:{task_id}"


def replayed_key(task_id: str, death: str) -> str:
    """Return the key that says when a dead letter was put back; another death of the task has another one."""
    return f"stalk:replayed:{task_id}:{death}"


def revoked_key(task_id: str) -> str:
    """Return the key that keeps a revoked task from starting."""
    return f"stalk:revoked:{task_id}"


def running_key(task_id: str) -> str:
    """Return the key that names the worker which runs a task; it expires soon after that worker is gone."""
    return f"stalk:running:{task_id}"
