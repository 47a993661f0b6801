"""Sends signals to processes of a node: fed to `python -` in a pod that shares the node's processes.

python - kill CONTAINER-ID PID          SIGKILL to the process that is PID inside the container
python - pause CONTAINER-ID SECONDS     stops every process of the container for so long; returns at once
python - pause-program NAME SECONDS     the same with every process of that name
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def processes() -> Iterator[Path]:
    return (entry for entry in PROC.iterdir() if entry.name.isdigit())


def read(process: Path, name: str) -> str:
    try:
        return (process / name).read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


def of_container(container: str) -> list[Path]:
    """Return the processes of a container; its id is a part of its cgroup's name, whatever the runtime and driver."""
    return [each for each in processes() if container in read(each, "cgroup")]


def inner_pid(process: Path) -> int:
    """Return the pid that the process has inside its container."""
    line = next((line for line in read(process, "status").splitlines() if line.startswith("NSpid:")), "NSpid: 0")
    return int(line.split()[-1])


def named(program: str) -> list[Path]:
    return [each for each in processes() if read(each, "comm").strip() == program]


def kill(container: str, pid: int) -> None:
    inside = of_container(container)
    victims = [each for each in inside if inner_pid(each) == pid]
    if not victims:
        sys.exit(f"no process {pid} in the container {container}; there are {[inner_pid(each) for each in inside]}")
    for victim in victims:
        os.kill(int(victim.name), signal.SIGKILL)


def pause(victims: list[Path], seconds: float) -> None:
    """Stop processes and let them go on later, from a process of its own: whoever asked may be among the stopped."""
    if not victims:
        sys.exit("no such process")
    pids = [int(victim.name) for victim in victims]
    if os.fork():
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    for ignored in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        send(pids, signal.SIGSTOP)
        time.sleep(seconds)
    finally:
        send(pids, signal.SIGCONT)
        os._exit(0)


def send(pids: list[int], what: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            continue


def main(command: str, what: str, number: str) -> None:
    if command == "kill":
        kill(what, int(number))
    elif command == "pause":
        pause(of_container(what), float(number))
    elif command == "pause-program":
        pause(named(what), float(number))
    else:
        sys.exit(f"no such command: {command}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
