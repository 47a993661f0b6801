"""`make services`: RabbitMQ and Redis, and any other program that is asked for, installed as root on Debian.

Usage: python -m local.install [PROGRAM...]; each program beside the two servers comes from the package of its name.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from local import programs

__all__ = ["install_programs", "install_rabbitmq", "install_redis"]


def install_redis() -> None:
    """Install Redis where it is missing.

    Raises:
        SystemExit: it cannot be installed here; the text is the line to type.
    """
    if programs.has_redis():
        return
    _need_root(programs.advice())
    _apt_install("redis-server")
    programs.redis_server()


def install_rabbitmq() -> None:
    """Install RabbitMQ where it is missing or too old.

    Raises:
        SystemExit: it cannot be installed here; the text is the line to type.
    """
    if programs.has_rabbitmq():
        return
    _need_root(programs.advice())
    if not programs.SUITE and _apt_candidate("rabbitmq-server") >= programs.RABBITMQ_LEAST:
        _apt_install("rabbitmq-server")
    else:
        _make_root(programs.OTHER_SUITE)
    programs.rabbitmq_server(programs.HERE)


def install_programs(names: Sequence[str]) -> None:
    """Install the Debian packages named after programs that are missing.

    Raises:
        SystemExit: they cannot be installed here; the text is the line to type.
    """
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        _need_root(f"{', '.join(missing)} needed. Type once:  sudo apt-get install {' '.join(missing)}")
        _apt_install(*missing)


def _need_root(otherwise: str) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(otherwise)


def _run(*words: str) -> None:
    """Run with the output kept out of the way; a failure ends with it."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def _apt_candidate(package: str) -> tuple[int, ...]:
    _run("apt-get", "update", "-qq")
    said = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=True).stdout
    return programs.as_version(said.partition("Candidate:")[2].split("\n")[0])


def _apt_install(*packages: str) -> None:
    print(f"installing {', '.join(packages)} with apt", file=sys.stderr)
    with _services_kept_down():
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


@contextmanager
def _services_kept_down() -> Iterator[None]:
    """Keep apt from starting system services on the usual ports: exit code 101 forbids it, as invoke-rc.d(8) says."""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink()


def _make_root(suite: str) -> None:
    """Put another Debian's RabbitMQ into a folder, whole or not at all."""
    install_programs(["mmdebstrap"])
    root = programs.ROOTS / suite
    print(f"putting RabbitMQ of Debian {suite} into {root} (a minute, once)", file=sys.stderr)
    programs.ROOTS.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=programs.ROOTS, prefix=f"{suite}-") as made:
        whole = Path(made) / "root"
        _run("mmdebstrap", "--quiet", "--variant=minbase", "--include=rabbitmq-server", suite, str(whole))
        whole.rename(root)


if __name__ == "__main__":
    install_rabbitmq()
    install_redis()
    install_programs(sys.argv[1:])
