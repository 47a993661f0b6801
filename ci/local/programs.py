"""Finding the programs `rabbitmq-server` and `redis-server`; `local.install` puts missing ones there.

Debian 12 has RabbitMQ 3.10, which is too old for delayed delivery to quorum queues. There a newer Debian's packages are
in a folder of the project, and the server runs from that folder: nothing of the machine's own is replaced.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = [
    "HERE",
    "OTHER_SUITE",
    "RABBITMQ_LEAST",
    "ROOTS",
    "SUITE",
    "advice",
    "as_version",
    "has_rabbitmq",
    "has_redis",
    "rabbitmq_server",
    "redis_server",
]

RABBITMQ_LEAST = (3, 13)
REDIS_LEAST = (6, 2)
HERE = Path(__file__).parent
ROOTS = HERE.parent.parent / ".stalk" / "roots"
SUITE = os.environ.get("STALK_DEBIAN_SUITE", "")
"""A Debian suite whose RabbitMQ is to be used even where the machine has one, for example to test with a newer one."""
OTHER_SUITE = SUITE or "trixie"
DEBIAN_SCRIPTS = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"


def as_version(text: str) -> tuple[int, ...]:
    """Return the first version number in a text, or nothing: `()` is less than any."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups(default="0")) if found else ()


def has_rabbitmq() -> bool:
    """Say whether a RabbitMQ that is new enough can be run."""
    return _rabbitmq_of_the_machine() is not None or _rabbitmq_of_another_root() is not None


def has_redis() -> bool:
    """Say whether a Redis that is new enough can be run."""
    return _redis() is not None


def rabbitmq_server(folder: Path) -> list[str]:
    """Return the words that run RabbitMQ in the foreground; it sees `folder` at the same path.

    Raises:
        SystemExit: there is none; the text is the line to type.
    """
    if script := _rabbitmq_of_the_machine():
        return [str(script)]
    if script := _rabbitmq_of_another_root():
        root = ROOTS / OTHER_SUITE
        enter = ["unshare", "--mount", "--propagation", "private", str(HERE / "enter-root"), str(root), str(folder)]
        return [*enter, f"/{script.relative_to(root)}"]
    sys.exit(advice())


def redis_server() -> list[str]:
    """Return the words that run Redis, without its configuration file.

    Raises:
        SystemExit: there is none; the text is the line to type.
    """
    if program := _redis():
        return [program]
    sys.exit(advice())


def advice() -> str:
    """Return what is needed and the one line that gets it on this machine."""
    needed = "RabbitMQ 3.13 and Redis 6.2, or newer, are needed"
    if shutil.which("apt-get"):
        return f"{needed}. Type once:  sudo make services"
    if shutil.which("brew"):
        return f"{needed}. Type once:  brew install rabbitmq redis"
    return f"{needed}. Install them, or name running ones:  make up BROKER_URL=amqp://… REDIS_URL=redis://…"


def _rabbitmq_of_the_machine() -> Path | None:
    """Return the script that runs the installed RabbitMQ.

    Debian's wrapper in /usr/sbin becomes the user `rabbitmq`, who may not see our folder: the script below it is run.
    """
    if SUITE:
        return None
    found = [(as_version(path.parent.parent.name), path) for path in Path("/").glob(DEBIAN_SCRIPTS)]
    on_path = shutil.which("rabbitmq-server")
    if not found and on_path:
        found = [(as_version(_said(str(Path(on_path).with_name("rabbitmqctl")), "version")), Path(on_path))]
    return next((path for version, path in sorted(found, reverse=True) if version >= RABBITMQ_LEAST), None)


def _rabbitmq_of_another_root() -> Path | None:
    # Entering it needs root.
    scripts = (ROOTS / OTHER_SUITE).glob(DEBIAN_SCRIPTS) if os.geteuid() == 0 else iter(())
    return next(scripts, None)


def _redis() -> str | None:
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path and as_version(_said(path, "--version").partition("v=")[2]) >= REDIS_LEAST:
            return path
    return None


def _said(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
