"""`stalk probe`: only a stat, and fast."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stalk.celery.heartbeat import HeartbeatFiles
from stalk.cli import main
from stalk.probe import probe, stoppable


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HeartbeatFiles:
    monkeypatch.setenv("STALK_RUN_DIR", str(tmp_path))
    return HeartbeatFiles(tmp_path)


def test_no_heartbeat(files: HeartbeatFiles) -> None:
    assert probe("live", 60) == f"no heartbeat yet: {files.alive} is missing"


def test_alive_but_not_consuming(files: HeartbeatFiles) -> None:
    files.beat()
    assert probe("live", 60) is None
    assert probe("ready", 60) == "alive, but not consuming tasks"
    files.ready.touch()
    assert probe("ready", 60) is None


def test_old_heartbeat(files: HeartbeatFiles) -> None:
    files.beat()
    long_ago = time.time() - 100
    os.utime(files.alive, (long_ago, long_ago))
    assert "more than 60 s" in (probe("live", 60) or "")
    assert probe("live", 120) is None


def test_clear_forgets_an_earlier_process(files: HeartbeatFiles) -> None:
    files.beat()
    files.ready.touch()
    files.clear()
    assert probe("live", 60) is not None


def test_exit_codes(files: HeartbeatFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "live"]) == 1
    assert capsys.readouterr().err.startswith("stalk probe: no heartbeat yet")
    files.beat()
    assert main(["probe", "live"]) == 0


STARTS = "import signal, sys, time; time.sleep(1); {}; print('x', flush=True); time.sleep(60)"


@pytest.mark.parametrize(
    ("code", "hears"),
    [("signal.signal(signal.SIGTERM, print)", True), ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", False)],
)
def test_stoppable_waits_for_the_handler(code: str, hears: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTS.format(code)], stdout=subprocess.PIPE) as process:
        try:
            assert stoppable(0, process.pid) is not None, "it only begins"
            assert process.stdout is not None
            if hears:
                assert stoppable(30, process.pid) is None
            process.stdout.read(1)
            said = stoppable(0.2, process.pid)
            assert said is None if hears else "has no handler for SIGTERM after 0.2 s" in (said or "")
        finally:
            process.kill()


def test_nobody_waits_for_a_process_that_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert stoppable(30, process.pid) is None


def test_probe_imports_neither_celery_nor_pydantic() -> None:
    code = "import sys, stalk.cli; stalk.cli.main(['probe', 'live']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"celery", "kombu", "pydantic", "asyncio"} & set(done.stdout.split())
