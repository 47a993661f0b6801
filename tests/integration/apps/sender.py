"""Somebody's Celery app whose tasks send tasks: what a worker's broker user must have the right to."""

import os

from celery import Celery, Task

from stalk.celery import configure
from stalk.settings import ConnectionSettings, load

QUEUE = os.environ["TASK_QUEUE"]
app = configure(Celery("sender"), load(ConnectionSettings), queues=[QUEUE, f"{QUEUE}-more"])


@app.task(name="again", bind=True, max_retries=2)
def again(self: Task[[], int]) -> int:
    """Retry once through delayed delivery, which holds no worker; return how often it ran."""
    if self.request.retries == 0:
        raise self.retry(countdown=1)
    return self.request.retries + 1


@app.task(name="send")
def send(queue: str) -> str:
    """Send `again` to a queue and return its id."""
    return str(again.apply_async(queue=queue).id)


@app.task(name="revoke")
def revoke(task_id: str) -> None:
    """Speak to the other workers."""
    app.control.revoke(task_id)
