"""The picture of a plan: what each candidate costs and how long it lets tasks wait, and the best one through time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stalk.plan.candidates import Summary
from stalk.plan.simulation import Outcome
from stalk.plan.units import PlanProblem

__all__ = ["draw"]

POINTS = 1000


def draw(path: Path, name: str, summaries: Sequence[Summary], shown: Summary, outcome: Outcome) -> None:
    """Write the picture; the file's ending says its format.

    Args:
        path: such as plan.svg.
        name: of the pool.
        summaries: the candidates.
        shown: the one that is drawn through time.
        outcome: a run of it.

    Raises:
        PlanProblem: it cannot be written.
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[2, 3])
    compare = figure.add_subplot(grid[:, 0])
    compare.scatter([each.pod_hours for each in summaries], [each.wait_p95 for each in summaries], s=18)
    compare.scatter([shown.pod_hours], [shown.wait_p95], s=60, color="C3", label="drawn at the right")
    compare.set_xlabel("pod-hours")
    compare.set_ylabel("wait p95, s")
    compare.set_title(f"pool {name}: {len(summaries)} candidates")
    compare.legend()
    moments = np.linspace(0.0, outcome.until, POINTS)
    hours = outcome.until > 2 * 3600
    scale = 3600 if hours else 1
    backlog, pods = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    backlog.plot(moments / scale, outcome.backlog(moments))
    backlog.set_ylabel("tasks waiting")
    pods.step(moments / scale, outcome.pods(moments), where="post", color="C3")
    pods.set_ylabel("worker pods")
    pods.set_xlabel("hours" if hours else "seconds")
    for axes in (compare, backlog, pods):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise PlanProblem(f"--plot {path}: {getattr(error, 'strerror', None) or error}") from error
