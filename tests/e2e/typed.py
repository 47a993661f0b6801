"""Commands of the documents, typed on a real cluster: as they are, but for the namespace."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from e2e.harness import Release, until

__all__ = ["ROOT", "typed", "watched"]

ROOT = Path(__file__).parents[2]


def _in(namespace: str, line: str) -> str:
    return re.sub(r"(-n|--namespace) stalk\b", rf"\1 {namespace}", line)


def _environment(release: Release) -> dict[str, str]:
    return release.environment | {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"}


def typed(release: Release, line: str, timeout: float = 400) -> str:
    """Run a line in a shell, at the repository's root, and return what it printed.

    Raises:
        AssertionError: its exit code is not 0.
    """
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _in(release.namespace, line)],
        cwd=ROOT,
        env=_environment(release),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{line}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


def watched(release: Release, line: str, enough: Callable[[], object]) -> str:
    """Run a line that does not end by itself, press Ctrl-C when it is enough, and return what it printed.

    Raises:
        AssertionError: it has ended before, or not at Ctrl-C.
    """
    words = ["bash", "-c", f"exec {_in(release.namespace, line)}"]
    with tempfile.NamedTemporaryFile() as out:
        said = Path(out.name).read_text  # with an offset of its own
        with subprocess.Popen(
            words, cwd=ROOT, env=_environment(release), stdout=out, stderr=subprocess.STDOUT
        ) as process:
            try:
                until(lambda: process.poll() is not None or (said() and enough()))
                assert process.poll() is None, f"{line} has ended: {said()}"
                process.send_signal(signal.SIGINT)
                process.wait(30)
            finally:
                process.kill()
        return said()
