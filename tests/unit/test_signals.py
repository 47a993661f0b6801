"""The signals that the chaos suite sends from a node's own pod, tried on processes of this machine."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from integration.harness import eventually

SCRIPT = Path(__file__).parents[1] / "e2e" / "apps" / "signals.py"


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[psutil.Process]:
    """Give a program whose name nobody else has."""
    program = tmp_path / f"sleeper-{tmp_path.parent.name[-4:]}"
    program.symlink_to("/usr/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        found = psutil.Process(process.pid)
        eventually(lambda: found.name() == program.name)
        yield found
        process.kill()


def signals(*words: str) -> subprocess.CompletedProcess[str]:
    """Feed the program to Python as it is fed to the pod's."""
    return subprocess.run(
        [sys.executable, "-", *words], input=SCRIPT.read_text(), text=True, capture_output=True, timeout=10, check=False
    )


def test_paused_program_goes_on_by_itself(sleeper: psutil.Process) -> None:
    assert signals("pause-program", sleeper.name(), "1").returncode == 0
    eventually(lambda: sleeper.status() == psutil.STATUS_STOPPED)
    eventually(lambda: sleeper.status() == psutil.STATUS_SLEEPING)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pause-program", "no-such-program", "1"), "no such process"),
        (("kill", "no-such-container", "1"), "no process 1 in the container no-such-container; there are []"),
        (("explode", "all", "1"), "no such command: explode"),
    ],
)
def test_nobody_to_signal_is_said(words: tuple[str, ...], said: str) -> None:
    done = signals(*words)
    assert done.returncode == 1
    assert said in done.stderr
