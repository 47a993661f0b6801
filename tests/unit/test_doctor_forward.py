"""Port-forwards, with a program in the place of kubectl that says what kubectl says."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from stalk.doctor.forward import Forwards, NoForward

KUBECTL = """#!{python}
import os, signal
with open({pids!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
print("Forwarding from 127.0.0.1:4567 -> 80", flush=True)
signal.pause()
"""


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file that has a line for each kubectl that was started."""
    file = tmp_path / "pids"
    (tmp_path / "kubectl").write_text(KUBECTL.format(python=sys.executable, pids=str(file)))
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return file


def alive(pids: Path) -> list[bool]:
    return [psutil.pid_exists(int(line)) for line in pids.read_text().split()]


def test_a_way_that_is_opened_again_ends_the_one_before(pids: Path) -> None:
    """`stalk status --watch` opens it anew for as long as the broker is away."""
    with Forwards("here", "shop") as forwards:
        for _ in range(3):
            assert forwards.open("service/api", 80, time.monotonic() + 20) == 4567
        assert alive(pids) == [False, False, True]
        forwards.open("service/redis", 80, time.monotonic() + 20)
        assert alive(pids) == [False, False, True, True]
    assert alive(pids) == [False] * 4


def test_who_comes_after_the_end_opens_nothing(pids: Path) -> None:
    with Forwards("here", "shop") as forwards:
        pass
    with pytest.raises(NoForward, match="too late"):
        forwards.open("service/api", 80, time.monotonic() + 20)
    assert not pids.exists()
