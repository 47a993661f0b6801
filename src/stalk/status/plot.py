"""Backlog and replicas over a watched time, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from stalk.status.snapshot import Snapshot

__all__ = ["check", "draw"]


def check(file: Path) -> None:
    """See before anything is watched that a picture can be written.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the ending names no format, or there is no such folder.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    formats = FigureCanvasAgg.get_supported_filetypes()
    if file.suffix.removeprefix(".").lower() not in formats:
        raise ValueError(f"{file} has none of the endings {', '.join(f'.{each}' for each in sorted(formats))}")
    if not file.parent.is_dir():
        raise ValueError(f"there is no folder {file.parent}")


def draw(snapshots: Sequence[Snapshot], file: Path) -> None:
    """Write a picture; its format is that of the file's ending, such as .svg or .png.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the ending names no format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    backlog, replicas = figure.subplots(2, 1, sharex=True)
    begin = snapshots[0].at
    for name in sorted({pool.name for each in snapshots for pool in each.pools}):
        points = [(each.at - begin, pool) for each in snapshots for pool in each.pools if pool.name == name]
        known = [(at, pool.ready + (pool.unacknowledged or 0)) for at, pool in points if pool.ready is not None]
        backlog.step([at for at, _ in known], [number for _, number in known], where="post", label=name)
        replicas.step([at for at, _ in points], [pool.replicas for _, pool in points], where="post", label=name)
    backlog.set_ylabel("queued and running tasks")
    replicas.set_ylabel("ready pods")
    replicas.set_xlabel("seconds")
    for axes in (backlog, replicas):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(file)
