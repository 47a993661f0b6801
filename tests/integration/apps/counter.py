"""Somebody's Celery app, not ours: its task writes down when it begins and when it ends."""

import os
import time
from pathlib import Path

from celery import Celery

from stalk.celery import configure
from stalk.settings import ConnectionSettings, load

app = configure(Celery("counter"), load(ConnectionSettings), queues=[os.environ["TASK_QUEUE"]])


@app.task(name="count")
def count(file: str, seconds: float) -> str:
    """Append a line at the begin, after `seconds` another one."""
    with Path(file).open("a") as lines:
        lines.write(f"begin {os.getpid()}\n")
        lines.flush()
        try:
            time.sleep(seconds)
        except SystemExit:
            lines.write(f"interrupted {os.getpid()}\n")
            raise
        lines.write(f"end {os.getpid()}\n")
    return "done"


@app.task(name="quick")
def quick() -> None:
    """Do nothing."""


@app.task(name="rare", rate_limit="1/h")
def rare() -> None:
    """Do nothing, once an hour."""
