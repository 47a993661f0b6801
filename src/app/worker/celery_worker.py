"""The tasks of the demo service: `celery -A app.worker.celery_worker worker -Q test-queue`."""

from time import sleep

from celery import Task

from app.worker.celery_app import TASK_NAME, celery_app, settings

__all__ = ["celery_app", "test_celery"]


@celery_app.task(name=TASK_NAME, bind=True)
def test_celery(self: Task[[str], str], word: str) -> str:
    """Take `STEPS` steps of `STEP_SECONDS` seconds, saying each time how far it is, and return a sentence."""
    for step in range(1, settings.steps + 1):
        sleep(settings.step_seconds)
        self.update_state(state="PROGRESS", meta={"process_percent": step * 100 // settings.steps})
    return f"test task return {word}"
