"""Names of what Stalk keeps in the result store beside Celery's own results."""

__all__ = ["accepted_key", "revoked_key", "running_key"]


def accepted_key(task_id: str) -> str:
    """Return the key that says that this id was handed out; it holds the queue's name."""
    return f"stalk:accepted:{task_id}"


def revoked_key(task_id: str) -> str:
    """Return the key that keeps a revoked task from starting."""
    return f"stalk:revoked:{task_id}"


def running_key(task_id: str) -> str:
    """Return the key that names the worker which runs a task; it expires soon after that worker is gone."""
    return f"stalk:running:{task_id}"
