"""The files that say a worker is alive and ready, so that a probe needs neither the broker nor an import of the app."""

from pathlib import Path
from typing import Any

from celery import bootsteps

from stalk.probe import ALIVE, READY

__all__ = ["INTERVAL", "Heartbeat", "HeartbeatFiles"]

INTERVAL = 5.0
"""Seconds between two touches of the heartbeat file."""


class HeartbeatFiles:
    """The two files in a worker's run folder."""

    def __init__(self, folder: Path) -> None:
        self.alive = folder / ALIVE
        self.ready = folder / READY

    def clear(self) -> None:
        """Forget what an earlier process in the same folder said."""
        self.alive.parent.mkdir(parents=True, exist_ok=True)
        self.alive.unlink(missing_ok=True)
        self.ready.unlink(missing_ok=True)

    def beat(self) -> None:
        """Say that the worker's main loop turns."""
        self.alive.touch()


class Heartbeat(bootsteps.StartStopStep):
    """Touches the heartbeat file from the consumer's timer, and takes the second file away when consuming ends.

    `stalk.celery.consumer` makes the second file, once the broker has agreed to deliver.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self.files = HeartbeatFiles(consumer.app.conf.stalk_run_dir)
        self.files.clear()
        self.timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begin to beat."""
        self.files.beat()
        self.timer = consumer.timer.call_repeatedly(INTERVAL, self.files.beat)

    def stop(self, consumer: Any) -> None:
        """Say that the worker does not consume, because it stops or has lost the broker."""
        self.files.ready.unlink(missing_ok=True)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    shutdown = stop
