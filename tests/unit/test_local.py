"""The parts of the local run that need no server."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local import free_port, programs
from local.processes import MARK, end, marked


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("rabbitmq_server-4.0.5", (4, 0, 5)),
        ("3.13", (3, 13, 0)),
        ("Redis server v=7.0.15 sha=00000000:0", (7, 0, 15)),
        ("Candidate: (none)", ()),
    ],
)
def test_version_is_read(text: str, version: tuple[int, ...]) -> None:
    assert programs.as_version(text) == version


def program(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(("version", "enough"), [("5.0.7", False), ("6.2.0", True), ("8.0.2", True)])
def test_redis_must_be_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, enough: bool) -> None:
    program(tmp_path, "redis-server", f"Redis server v={version} sha=0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.has_redis() is enough


@pytest.mark.parametrize(
    ("tool", "line"),
    [("apt-get", "sudo make services"), ("brew", "brew install rabbitmq redis"), ("none", "make up BROKER_URL=")],
)
def test_missing_redis_gives_the_line_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, line: str
) -> None:
    program(tmp_path, tool, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as refused:
        programs.redis_server()
    assert line in str(refused.value)


def test_only_marked_processes_are_ended(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    other = subprocess.Popen(sleeper, env=os.environ | {MARK: str(tmp_path / "other")})
    # A shell that leaves its child behind, as epmd's starter does.
    orphaning = f"{sys.executable} -c 'import time; time.sleep(60)' &"
    subprocess.run(["sh", "-c", orphaning], env=os.environ | {MARK: str(tmp_path / "ours")}, check=True)
    try:
        assert end(tmp_path / "ours") == 1
        assert marked(tmp_path / "ours") == []
        assert other.poll() is None
        assert [process.pid for process in marked(tmp_path)] == [other.pid]
    finally:
        other.kill()
        other.wait()


def test_preferred_port_is_taken_only_when_free() -> None:
    port = free_port()
    assert free_port(port) == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert free_port(port) != port
