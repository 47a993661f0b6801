"""`stalk probe`: is this pod's worker alive, is it ready? One `stat`, because a probe runs every few seconds for ever.

`celery inspect ping` costs seconds of CPU, imports the app, and restarts healthy workers when the broker is away.
"""

import os
import tempfile
import time

__all__ = ["ALIVE", "READY", "probe"]

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
