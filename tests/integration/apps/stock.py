"""A Celery app as the tutorial has it: no Stalk, a classic queue on a direct exchange, Celery's defaults."""

import os
import time

from celery import Celery

from stalk.settings import ConnectionSettings, load

settings = load(ConnectionSettings)
app = Celery("stock", broker=settings.amqp_url(), backend=settings.results_url())
app.conf.update(
    task_default_queue=os.environ["TASK_QUEUE"],
    task_serializer=os.environ.get("TASK_SERIALIZER", "json"),
    accept_content=[os.environ.get("ACCEPT", "json")],
    # RabbitMQ 4.3 wants it so.
    control_queue_durable=True,
    control_queue_exclusive=False,
)


@app.task(name="nap")
def nap(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)
