"""`stalk probe`: is this pod's worker alive, ready, stoppable? One `stat`, as a probe runs every few seconds for ever.

`celery inspect ping` costs seconds of CPU, imports the app, and restarts healthy workers when the broker is away.
"""

import os
import signal
import tempfile
import time

__all__ = ["ALIVE", "READY", "probe", "stoppable"]

ALIVE = "alive"
READY = "ready"


def probe(kind: str, max_age: float) -> str | None:
    """Look at a worker's heartbeat files in `STALK_RUN_DIR`.

    Args:
        kind: `live`: the main loop turned within `max_age` seconds; `ready`: that, and tasks are consumed.
        max_age: seconds.

    Returns:
        What is wrong, or None.
    """
    folder = os.environ.get("STALK_RUN_DIR") or os.path.join(tempfile.gettempdir(), "stalk")  # noqa: PTH118
    path = os.path.join(folder, ALIVE)  # noqa: PTH118 (pathlib costs more than all the rest)
    try:
        age = time.time() - os.stat(path).st_mtime  # noqa: PTH116
    except FileNotFoundError:
        return f"no heartbeat yet: {path} is missing"
    if age > max_age:
        return f"the last heartbeat is {age:.0f} s old, more than {max_age:g} s: {path}"
    if kind == "ready" and not os.path.exists(os.path.join(folder, READY)):  # noqa: PTH110, PTH118
        return "alive, but not consuming tasks"
    return None


def stoppable(wait: float, pid: int = 1) -> str | None:
    """Wait until a process has a handler for SIGTERM.

    Linux drops a signal for the first process of a container that has no handler for it (pid_namespaces(7)). A worker
    that is told to stop while it still starts would not hear it, take tasks for its whole grace period, and be killed
    with one running. So a pod's `preStop` hook waits for the handler; Kubernetes sends SIGTERM after the hook.

    Args:
        wait: seconds, at most.
        pid: the process; 1 is the container's first.

    Returns:
        What is wrong, or None. A process that is gone, or a system without `/proc`, is nothing to wait for.
    """
    end = time.monotonic() + wait
    while not _catches(pid, signal.SIGTERM):
        if time.monotonic() >= end:
            return f"process {pid} has no handler for SIGTERM after {wait:g} s: it will not hear that it is to stop"
        time.sleep(0.1)
    return None


def _catches(pid: int, number: int) -> bool:
    """Look at the mask of caught signals (`SigCgt` in proc_pid_status(5))."""
    try:
        with open(f"/proc/{pid}/status") as status:  # noqa: PTH123
            masks = [line.split()[1] for line in status if line.startswith("SigCgt:")]
    except OSError:
        return True
    return not masks or bool(int(masks[0], 16) >> (number - 1) & 1)
