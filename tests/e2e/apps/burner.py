"""Somebody's Celery app, not ours: its task takes CPU."""

import time

from celery import Celery

from stalk.celery import configure
from stalk.settings import ConnectionSettings, load

app = configure(Celery("burner"), load(ConnectionSettings), queues=["burn"])


@app.task(name="burn")
def burn(seconds: float) -> float:
    """Take CPU for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return seconds
