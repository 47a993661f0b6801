"""Somebody's Celery app, not ours: its task takes time and nothing else."""

import time

from celery import Celery

from stalk.celery import configure
from stalk.settings import ConnectionSettings, load

app = configure(Celery("holder"), load(ConnectionSettings), queues=["hold"])


@app.task(name="hold")
def hold(seconds: float) -> float:
    """Be busy for so long."""
    time.sleep(seconds)
    return seconds
