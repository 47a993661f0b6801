"""`make package`: the files of a release, the same bytes for the same commit, wherever it is checked out."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from release.archive import normalised
from release.run import PackageError, run
from release.sbom import EXTRAS, sbom
from release.versions import CHART, version

__all__ = ["SUMS", "PackageError", "package"]

SUMS = "SHA256SUMS"
_OURS = ("stalk-*.tgz", "stalk_celery-*.whl", "stalk_celery-*.tar.gz", "*.cdx.json", SUMS)


def package(root: Path, out: Path) -> list[Path]:
    """Write chart archive, wheel, sdist, bills of materials and their SHA-256 sums; those of another version go.

    Args:
        root: a checkout.
        out: folder of the files; what is not of a release stays in it.

    Returns:
        The files.

    Raises:
        PackageError: a step fails.
    """
    epoch, ours = _epoch(root), version(root)
    with TemporaryDirectory() as folder:
        made = Path(folder)
        _chart(root, made, epoch)
        _distributions(root, made, epoch)
        for name in EXTRAS:
            (made / f"{name}-{ours}.cdx.json").write_text(sbom(root, name, ours, epoch), encoding="utf-8")
        (made / SUMS).write_text("".join(_sums(made)), encoding="utf-8")
        for old in [path for pattern in _OURS for path in out.glob(pattern)]:
            old.unlink()
        out.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copy(path, out)) for path in sorted(made.iterdir())]


def _epoch(root: Path) -> int:
    """Return SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/), else the commit's time."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given and not given.isdecimal():
        raise PackageError(f"SOURCE_DATE_EPOCH is {given!r}, not a number of seconds")
    return int(given or run(root, "git", "log", "-1", "--format=%ct"))


def _chart(root: Path, folder: Path, epoch: int) -> None:
    with TemporaryDirectory() as scratch:
        run(root, root / "ci" / "deploy" / "helm", "package", CHART.parent, "--destination", scratch)
        (archive,) = Path(scratch).iterdir()
        (folder / archive.name).write_bytes(normalised(archive, epoch))


def _distributions(root: Path, folder: Path, epoch: int) -> None:
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    words = ["build", "--quiet", "--no-create-gitignore", "--out-dir", str(folder)]
    run(root, root / "ci" / "uv", *words, env=environment)


def _sums(folder: Path) -> Iterator[str]:
    """Yield the lines that `sha256sum --check` reads."""
    for path in sorted(folder.iterdir()):
        yield f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
