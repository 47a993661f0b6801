"""The Celery app of the demo service: `celery -A app.worker.celery_app`."""

from celery import Celery

from app.settings import Settings
from stalk.celery import configure
from stalk.settings import load

__all__ = ["TASK_NAME", "celery_app", "settings"]

# The API sends the task by its name: it runs without the task's code and what that imports.
TASK_NAME = "app.worker.celery_worker.test_celery"

settings = load(Settings)
celery_app = configure(
    Celery("app", include=["app.worker.celery_worker", *(["app.worker.ledger"] if settings.ledger else [])]),
    settings,
    queues=[settings.task_queue],
)
