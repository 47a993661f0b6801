"""The service as a user starts it, on a real broker and a real Redis."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import amqp
import httpx
import psutil

from local import RabbitMQ, Redis, free_port

BIN = Path(sys.executable).parent


def eventually(what: Callable[[], Any], timeout: float = 30, interval: float = 0.05) -> Any:
    """Return the first truthy answer, or fail with the last one."""
    deadline = time.monotonic() + timeout
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {timeout} s; last answer: {answer!r}"
        time.sleep(interval)


class Background:
    """Work in threads for as long as the `with` lasts.

    Args:
        work: one thread for each; it is given the event that is set when it is to end.
    """

    def __init__(self, *work: Callable[[threading.Event], None]) -> None:
        self._end = threading.Event()
        self._threads = [threading.Thread(target=each, args=[self._end]) for each in work]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


@dataclass
class Service:
    """The demo service on a queue of its own; each part is started by the test that needs it."""

    folder: Path
    broker: RabbitMQ
    redis: Redis
    settings: dict[str, str]
    queue: str = field(default_factory=lambda: f"queue-{uuid.uuid4().hex[:8]}")
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    url: str = ""

    def environment(self) -> dict[str, str]:
        ours = {
            "BROKER_HOST": "127.0.0.1",
            "BROKER_PORT": str(self.broker.port),
            "BROKER_VHOST": self.broker.vhost,
            "BROKER_USER": self.broker.user,
            "BROKER_PASSWORD": self.broker.password,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.redis.port),
            "REDIS_PASSWORD": self.redis.password or "",
            "TASK_QUEUE": self.queue,
            "STEP_SECONDS": "0.02",
            "STALK_RUN_DIR": str(self.folder / "run"),
        }
        # Neither what the shell names for `make up` nor what make exports empty.
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("BROKER_", "REDIS_"))}
        return outside | ours | self.settings

    def run(self, *words: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            env=self.environment(),
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
            **kwargs,
        )

    def start(self, name: str, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a command in the background; its output goes to a file of its name."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(BIN / words[0]), *words[1:]],
                env=self.environment() | dict(env or {}),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def api(self) -> str:
        """Start the API and return its URL when it is ready."""
        port = free_port()
        self.start("api", "hypercorn", "app.main:app", "--worker-class", "uvloop", "--bind", f"127.0.0.1:{port}")
        self.url = f"http://127.0.0.1:{port}"
        eventually(self.is_ready)
        return self.url

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=6).status_code == 200
        except httpx.TransportError:
            return False

    def worker(self, concurrency: int = 1, *more: str) -> subprocess.Popen[bytes]:
        """Start a worker and return when it consumes."""
        ready = self.folder / "run" / "ready"
        ready.unlink(missing_ok=True)
        words = ["celery", "-A", "app.worker.celery_worker", "worker", "-Q", self.queue, "-c", str(concurrency)]
        process = self.start(
            "worker", *words, "-n", f"{uuid.uuid4().hex[:6]}@%h", "--without-mingle", "-l", "INFO", *more
        )
        eventually(lambda: ready.exists() or process.poll() is not None)
        assert process.poll() is None, self.log("worker")
        return process

    def submit(self, word: str = "word", **more: Any) -> str:
        answer = httpx.post(f"{self.url}/tasks", json={"word": word, **more}, timeout=10)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def state(self, task_id: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/tasks/{task_id}", timeout=10)
        return dict(answer.json()) | {"code": answer.status_code}

    def wait_for(self, task_id: str, status: str = "SUCCESS", timeout: float = 30) -> dict[str, Any]:
        return dict(eventually(lambda: (state := self.state(task_id)).get("status") == status and state, timeout))

    def written_down(self) -> bool:
        """Say whether the broker would find the queue again after a crash.

        RabbitMQ 4.0 writes a new queue into Ra's directory a few seconds late; one that it has not written when it is
        killed gets no leader ever again.
        """
        itself = re.compile(re.escape(self.queue.encode()) + rb"(?!\.)")  # not its dead-letter queue
        return any(itself.search(file.read_bytes()) for file in self.broker.folder.rglob("names.dets"))

    def channel(self) -> amqp.Channel:
        """Return a channel to the broker as a third party has it."""
        connection = amqp.Connection(
            f"127.0.0.1:{self.broker.port}",
            userid=self.broker.user,
            password=self.broker.password,
            virtual_host=self.broker.vhost,
        )
        connection.connect()
        return connection.channel()

    def ready_messages(self, queue: str) -> int:
        channel = self.channel()
        try:
            declared = channel.queue_declare(queue, passive=True)
            return int(declared.message_count)  # type: ignore[union-attr]
        finally:
            channel.connection.close()

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                end_tree(process.pid)
            process.wait(10)


def end_tree(pid: int) -> None:
    """Kill a process and its children at once."""
    try:
        victims = [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return
    for victim in victims:
        try:
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
