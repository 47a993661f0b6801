"""`make up` and `make down`, as a newcomer types them; only the data's folder is another one."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from integration.harness import eventually
from local.processes import end, marked

ROOT = Path(__file__).parents[2]


class Up:
    """One run of `python -m local.up`, which is all that `make up` does after the set-up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "up.log"
        self.process = self._start("up", self.log)

    def _start(self, module: str, log: Path) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT / "ci"),
            "STALK_LOCAL_DIR": str(self.folder),
            "STEP_SECONDS": "0.01",
        }
        for name in ("BROKER_URL", "REDIS_URL"):
            environment.pop(name, None)
        with log.open("wb") as file:
            words = [sys.executable, "-m", f"local.{module}"]
            return subprocess.Popen(words, env=environment, stdout=file, stderr=file, start_new_session=True)

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.said()
        return "Ctrl-C stops everything." in self.said()

    def url(self, name: str) -> str:
        found = re.search(rf"^{name} +(\S+)", self.said(), re.M)
        assert found is not None
        return found[1]

    def run(self, module: str) -> tuple[int, str]:
        log = self.folder / f"{module}-2.log"
        return self._start(module, log).wait(60), log.read_text(encoding="utf-8")

    def again(self) -> None:
        self.process = self._start("up", self.log)
        eventually(self.is_up, timeout=90)

    def parts(self) -> list[psutil.Process]:
        return marked(self.folder)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    try:
        eventually(running.is_up, timeout=90)
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        end(tmp_path)


@pytest.mark.timeout(300)
def test_up_serves_tasks_once_and_again_even_after_a_crash(up: Up) -> None:
    def task_is_done() -> bool:
        answer = httpx.post(f"{up.url('Page')}/tasks", json={"word": "up"})
        location = f"{up.url('Page')}{answer.headers['Location']}"
        return bool(eventually(lambda: httpx.get(location).json()["status"] == "SUCCESS"))

    assert task_is_done()
    assert httpx.get(f"{up.url('Flower')}/api/workers").status_code == 401
    seen = eventually(lambda: httpx.get(f"{up.url('Flower')}/workers?json=1", auth=("user", "test")).json()["data"])
    assert [worker["status"] for worker in seen] == [True]
    assert httpx.get(f"{up.url('RabbitMQ')}/api/overview", auth=("user", "test")).status_code == 200

    code, said = up.run("up")
    assert code == 1
    assert "it is up already" in said

    up.process.kill()
    up.process.wait()
    assert up.parts()
    code, said = up.run("down")
    assert code == 0
    assert re.search(r"ended \d+ processes", said)
    assert not up.parts()
    assert "nothing was running" in up.run("down")[1]

    up.again()
    assert task_is_done()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    assert not up.parts()


@pytest.mark.timeout(180)
def test_up_ends_when_a_part_dies(up: Up) -> None:
    redis = next(process for process in up.parts() if process.name().startswith("redis"))
    redis.kill()
    assert up.process.wait(60) == 1
    assert "redis stopped" in up.said()
    assert not up.parts()
