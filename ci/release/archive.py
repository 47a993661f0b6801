"""A chart archive whose bytes follow from the chart alone.

`helm package` decides what goes in and checks it, but stamps each file with the time of the run. What varies is written
anew: times, the gzip header and the order. Compression is this Python's zlib; another one may give other bytes.
"""

import gzip
import io
import tarfile
from pathlib import Path

__all__ = ["normalised"]


def normalised(archive: Path, epoch: int) -> bytes:
    """Return a .tgz of plain files again, with nothing of when, where and by whom it was made.

    Args:
        archive: as `helm package` wrote it.
        epoch: time of every file, in seconds since 1970.
    """
    with tarfile.open(archive) as old:
        files = [(member.name, _contents(old, member)) for member in old.getmembers()]
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as new:
        # Chart.yaml first: who only wants to know what this is need not read on.
        for name, contents in sorted(files, key=lambda file: (not file[0].endswith("/Chart.yaml"), file[0])):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(contents), epoch, 0o644
            new.addfile(member, io.BytesIO(contents))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=epoch) as compressed:
        compressed.write(tar.getvalue())
    return packed.getvalue()


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is no plain file")
    return file.read()
