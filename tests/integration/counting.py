"""An app that counts how often its tasks run, and its workers."""

import subprocess
from pathlib import Path
from typing import Any

from celery import Celery

from integration.harness import Service, eventually
from stalk.celery import configure
from stalk.settings import ConnectionSettings

APPS = Path(__file__).parent / "apps"


class Counter:
    """The app in apps/counter.py, its workers and what its tasks have written."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.file = service.folder / "runs"
        self.file.touch()
        service.settings |= {"PYTHONPATH": str(APPS)}
        environment = service.environment()
        settings = ConnectionSettings.model_validate(
            {name.lower(): environment[name] for name in environment if name.startswith(("BROKER_", "REDIS_"))}
        )
        self.app = configure(Celery("client"), settings, queues=[service.queue])

    def worker(self, name: str, *more: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a worker with a run folder and a log of its own, and return when it consumes."""
        folder = self.service.folder / name
        words = ["celery", "-A", "counter:app", "worker", "-Q", self.service.queue, "-n", f"{name}@here", "-l", "INFO"]
        process = self.service.start(
            name, *words, "--without-mingle", *more, env={"STALK_RUN_DIR": str(folder)} | (env or {})
        )
        eventually(lambda: (folder / "ready").exists() or process.poll() is not None)
        assert process.poll() is None, self.service.log(name)
        return process

    def send(self, seconds: float) -> str:
        return str(self.app.send_task("count", (str(self.file), seconds), queue=self.service.queue).id)

    def send_until(self, word: Path) -> str:
        """Send a task that ends when somebody makes this file, and return its id when it runs."""
        task_id = str(self.app.send_task("until", (str(self.file), str(word)), queue=self.service.queue).id)
        self.wait_for(task_id, "STARTED")
        return task_id

    def quick(self) -> str:
        return str(self.app.send_task("quick", queue=self.service.queue).id)

    def send_plainly(self, name: str, **options: Any) -> None:
        """Send a task as a Celery app does that knows nothing of Stalk: a countdown then waits in the worker."""
        plain = Celery("plain", broker=self.service.broker.amqp_url)
        plain.send_task(name, exchange="stalk", exchange_type="topic", routing_key=self.service.queue, **options)

    def state(self, task_id: str) -> Any:
        return self.app.AsyncResult(task_id)

    def wait_for(self, task_id: str, status: str = "SUCCESS", timeout: float = 60) -> None:
        eventually(lambda: self.state(task_id).state == status, timeout)

    def runs(self, what: str) -> int:
        return sum(line.startswith(what) for line in self.file.read_text().splitlines())

    def ready(self) -> int:
        return self.service.ready_messages(self.service.queue)
