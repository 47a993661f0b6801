"""Processes that belong together, found by a mark in their environment.

A process tree is not enough: RabbitMQ's epmd leaves the tree of the script that started it, and a crashed runner leaves
orphans.
"""

import signal
from pathlib import Path

import psutil

__all__ = ["MARK", "end", "marked"]

MARK = "STALK_LOCAL_RUN"
"""The environment variable that names the folder which a process keeps its data in."""


def marked(folder: Path) -> list[psutil.Process]:
    """Return the living processes whose mark is this folder or one inside it."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
            if mark and Path(mark).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def end(folder: Path, grace: float = 0) -> int:
    """End the processes marked with a folder, and return how many there were.

    Args:
        folder: as for `marked`.
        grace: seconds between SIGTERM and SIGKILL; 0 kills at once.
    """
    first = marked(folder)
    if grace:
        _signal(first, signal.SIGTERM)
        psutil.wait_procs(first, grace)
    # Killed or not, some may have been born in between.
    while left := marked(folder):
        _signal(left, signal.SIGKILL)
        psutil.wait_procs(left, 5)
    return len(first)


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
