"""Somebody's Celery app, not ours: its task writes down when it begins and when it ends."""

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.worker.control import control_command

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


@app.task(name="until")
def until(file: str, word: str) -> None:
    """Append a line at the begin, and another one as soon as there is a file named `word`."""
    with Path(file).open("a") as lines:
        lines.write(f"begin {os.getpid()}\n")
        lines.flush()
        while not Path(word).exists():
            time.sleep(0.1)
        lines.write(f"end {os.getpid()}\n")


@app.task(name="quick")
def quick() -> None:
    """Do nothing."""


@app.task(name="rare", rate_limit="1/h")
def rare() -> None:
    """Do nothing, once an hour."""


@control_command()
def break_channel(state: Any) -> None:
    """Acknowledge what was never delivered: RabbitMQ closes the channel for it."""
    state.consumer.task_consumer.channel.basic_ack(10_000)
