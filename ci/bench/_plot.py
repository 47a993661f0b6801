"""The picture of two bursts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bench._burst import Burst


def draw(bursts: Sequence[Burst], path: Path, metadata: Mapping[str, str | None] | None = None) -> None:
    """Draw backlog and pods over time, one below the other; `metadata` goes into the file, as matplotlib knows it."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    backlog, pods = figure.subplots(2, 1, sharex=True)
    for burst in bursts:
        seconds = [look.seconds for look in burst.looks]
        backlog.plot(seconds, [look.backlog for look in burst.looks], label=f"{burst.name}: {burst.drained:.0f} s")
        pods.step(seconds, [look.pods for look in burst.looks], where="post", label=burst.name)
    backlog.set_ylabel("messages waiting")
    pods.set_ylabel("worker pods")
    pods.set_xlabel("seconds since the first publish")
    for axes in (backlog, pods):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata=dict(metadata or {}))
