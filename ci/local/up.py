"""`make up`: the whole service on this machine, until Ctrl-C."""

import fcntl
import os
import shlex
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import honcho.manager

from local.install import install_rabbitmq, install_redis
from local.ports import free_port
from local.processes import MARK, end
from local.rabbitmq import RabbitMQ
from local.redis import Redis

__all__ = ["main"]

STALK = Path(os.environ.get("STALK_LOCAL_DIR") or Path(__file__).parent.parent.parent / ".stalk")
RUN = STALK / "run"
READY_SECONDS = 180
LOGIN = "user", "test"
# RabbitMQ closes its queues, and a worker ends its task.
honcho.manager.KILL_WAIT = 20


def main() -> int:
    """Start everything, print where it is, and stream the logs.

    Returns:
        0 after Ctrl-C; 1 when a part ended by itself, when it is up already, or when it does not become ready.
    """
    RUN.mkdir(parents=True, exist_ok=True)
    with _only_one():
        if end(RUN):
            print("cleaned up after a run that was not stopped", file=sys.stderr)
        given = {name for name in ("BROKER_URL", "REDIS_URL") if os.environ.get(name)}
        if "BROKER_URL" not in given:
            install_rabbitmq()
        if "REDIS_URL" not in given:
            install_redis()
        try:
            return _run(given)
        finally:
            end(RUN, grace=5)


@contextmanager
def _only_one() -> Iterator[None]:
    with (STALK / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("it is up already, in another terminal; end it there with Ctrl-C, or type: make down")
        yield


def _run(given: set[str]) -> int:
    manager = honcho.manager.Manager()
    environment = os.environ | {
        MARK: str(RUN / "service"),
        "STALK_RUN_DIR": str(RUN / "service"),
        "PYTHONUNBUFFERED": "1",
        "FLOWER_BASIC_AUTH": ":".join(LOGIN),
    }
    lines = []
    if "BROKER_URL" not in given:
        rabbitmq = RabbitMQ(RUN / "rabbitmq", *LOGIN)
        rabbitmq.management_port = free_port(15672)
        rabbitmq.configure()
        manager.add_process("rabbitmq", shlex.join(rabbitmq.command()), env=rabbitmq.environment())
        environment["BROKER_URL"] = rabbitmq.amqp_url
        environment["FLOWER_BROKER_API"] = f"http://{':'.join(LOGIN)}@127.0.0.1:{rabbitmq.management_port}/api/"
        lines += [f"RabbitMQ    {rabbitmq.management_url}  ({' / '.join(LOGIN)}), AMQP on port {rabbitmq.port}"]
    if "REDIS_URL" not in given:
        redis = Redis(RUN / "redis", LOGIN[1])
        redis.configure()
        manager.add_process("redis", shlex.join(redis.command()), env=redis.environment())
        environment["REDIS_URL"] = redis.url
        lines += [f"Redis       {redis.url}"]
    api, flower = free_port(8000), free_port(5555)
    for name, command in _service(api, flower).items():
        manager.add_process(name, command, env=environment)
    lines = [
        f"Page        http://127.0.0.1:{api}",
        f"API         http://127.0.0.1:{api}/docs",
        f"Flower      http://127.0.0.1:{flower}  ({' / '.join(LOGIN)})",
        *lines,
        "Ctrl-C stops everything.",
    ]
    ready = threading.Thread(target=_say_when_ready, args=(manager, api, lines), daemon=True)
    ready.start()
    manager.loop()
    # What honcho says after Ctrl-C and SIGTERM; anything else is the exit code of a part that ended by itself.
    return 0 if manager.returncode in {130, 143} else 1


def _service(api: int, flower: int) -> dict[str, str]:
    """Return the command of each part. `exec`, so that signals reach the program and not a shell."""
    bin_ = Path(sys.executable).parent
    stalk, celery, hypercorn = (shlex.quote(str(bin_ / name)) for name in ("stalk", "celery", "hypercorn"))
    worker = f"{celery} -A app.worker.celery_worker worker -c 2 -n worker@%h -l INFO"
    return {
        "api": f"exec {hypercorn} app.main:app --workers 0 --worker-class uvloop --bind 127.0.0.1:{api}",
        "worker": f"{stalk} topology -A app.worker.celery_app --timeout {READY_SECONDS} && exec {worker}",
        "flower": f"exec {celery} -A app.worker.celery_worker flower --address=127.0.0.1 --port={flower}",
    }


def _say_when_ready(manager: honcho.manager.Manager, port: int, lines: list[str]) -> None:
    """Wait for the API and a worker, then print; or stop everything."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if _is_ready(port):
            width = min(shutil.get_terminal_size().columns, max(map(len, lines)))
            print("\n".join(["", "─" * width, *lines, "─" * width, ""]), flush=True)
            return
        time.sleep(0.3)
    print(f"not ready after {READY_SECONDS} s: see the log above", file=sys.stderr, flush=True)
    manager.terminate()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=6):
            return (RUN / "service" / "ready").exists()
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
