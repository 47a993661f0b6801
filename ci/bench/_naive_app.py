"""The comparison: the public example's way, an async route that publishes, then a thread that waits for the result."""

import os
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from fastapi import BackgroundTasks, FastAPI

QUEUE = "bench-naive"

app = FastAPI()
celery_app = Celery("naive", broker=os.environ["BROKER_URL"], backend=os.environ["REDIS_URL"])
celery_app.conf.update(task_track_started=True, task_default_queue=QUEUE)


def wait_for(task: AsyncResult[Any]) -> None:
    """Block a thread of the pool until the task has ended."""
    task.get(on_message=lambda _: None, propagate=False)


@app.get("/wait/{word}")
async def submit_and_wait(word: str, background: BackgroundTasks) -> dict[str, str]:
    """Do what the example does."""
    task = celery_app.send_task("app.worker.celery_worker.test_celery", args=[word])
    background.add_task(wait_for, task)
    return {"process_id": task.id}


@app.get("/send/{word}")
async def submit(word: str) -> dict[str, str]:
    """Publish alone."""
    return {"process_id": celery_app.send_task("app.worker.celery_worker.test_celery", args=[word]).id}
