"""Running the programs that packaging consists of."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PackageError", "run"]


class PackageError(Exception):
    """A release cannot be packaged; the text says why."""


def run(root: Path, *words: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program in a checkout and return what it printed.

    Raises:
        PackageError: it fails; the text is what it says.
    """
    done = subprocess.run([str(word) for word in words], cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageError(f"{' '.join(map(str, words))}: {(done.stderr or done.stdout).strip()[-3000:]}")
    return done.stdout
