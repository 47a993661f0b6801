"""Which version came before, and where it is in git. The rule stands here alone.

1. The newest tag `v*` in the history of HEAD, without pre-releases and without a tag of HEAD itself.
2. Where nothing was tagged yet: the last commit on the first-parent line whose chart has another version than the
   working tree's. On main that is what main was before the version was raised.

Neither: that is an error, never a reason to leave a test out.
"""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from release.versions import CHART, version

__all__ = ["NoPreviousError", "Previous", "is_shallow", "previous"]


class NoPreviousError(Exception):
    """There is no version before; the text says what to do."""


@dataclass(frozen=True)
class Previous:
    """A version in git."""

    root: Path
    """The checkout that it was looked for in."""
    version: str
    commit: str

    def extract(self, folder: Path) -> Path:
        """Put the whole tree of that version into a folder, and return it."""
        archive = _git_bytes(self.root, "archive", "--format=tar", self.commit)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        return folder


def previous(root: Path) -> Previous:
    """Return the version before the one of a checkout.

    Raises:
        NoPreviousError: the history that is here has none.
    """
    head = _git(root, "rev-parse", "HEAD")
    words = ["-c", "versionsort.suffix=-", "tag", "--list", "v*", "--sort=-version:refname", "--merged", "HEAD"]
    for tag in _git(root, *words).split():
        commit = _git(root, "rev-parse", f"{tag}^{{commit}}")
        if "-" not in tag and commit != head:
            return Previous(root, _version(root, commit), commit)
    ours, commit = version(root), head
    while _version(root, commit) == ours:
        changed = _git(root, "log", "-1", "--first-parent", "--format=%H", commit, "--", str(CHART))
        commit = _git(root, "rev-parse", "--verify", "--quiet", f"{changed or commit}^", check=False)
        if not commit or not _has_chart(root, commit):
            hint = " The history is cut off; type: git fetch --unshallow --tags" if is_shallow(root) else ""
            raise NoPreviousError(f"no tag v*, and no commit whose chart has another version than {ours}.{hint}")
    return Previous(root, _version(root, commit), commit)


def is_shallow(root: Path) -> bool:
    """Say whether the history of a checkout is cut off, as `git clone --depth` does."""
    return _git(root, "rev-parse", "--is-shallow-repository") == "true"


def _has_chart(root: Path, commit: str) -> bool:
    return bool(_git(root, "ls-tree", commit, "--", str(CHART)))


def _version(root: Path, commit: str) -> str:
    return str(yaml.safe_load(_git(root, "show", f"{commit}:{CHART.as_posix()}"))["version"])


def _git(root: Path, *words: str, check: bool = True) -> str:
    return _git_bytes(root, *words, check=check).decode().strip()


def _git_bytes(root: Path, *words: str, check: bool = True) -> bytes:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False)
    if check and done.returncode:
        raise NoPreviousError(f"git {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
