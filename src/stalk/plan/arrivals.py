"""When tasks arrive: at a rate, all at once, from a CSV trace, or from a recorded Prometheus range."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TypeAlias

import numpy as np

from stalk.plan.durations import Times
from stalk.plan.tables import read_rows
from stalk.plan.units import PlanProblem

__all__ = ["MOST_TASKS", "Arrivals", "Recording", "burst", "counted", "poisson", "trace"]

MOST_TASKS = 50_000_000
"""More than this is a slip of the pen, and would not fit into memory."""


@dataclass(frozen=True)
class Recording:
    """Tasks over a stretch of time."""

    times: Times
    """Seconds from the beginning, rising."""
    seconds: float
    """How long the stretch is: what is paid for, also where nothing arrives."""

    def __post_init__(self) -> None:
        if not len(self.times):
            raise PlanProblem("no task arrives: nothing to plan for")


Arrivals: TypeAlias = Callable[[np.random.Generator], Recording]
"""Draws one recording; a trace of timestamps is the same each time."""


def poisson(rate: float, length: float) -> Arrivals:
    """Tasks that come independently of each other.

    Args:
        rate: tasks a second.
        length: seconds.

    Raises:
        PlanProblem: these are too many tasks.
    """
    _check(rate * length)

    def draw(rng: np.random.Generator) -> Recording:
        number = max(1, int(rng.poisson(rate * length)))
        return Recording(np.sort(rng.uniform(0, length, number)), length)

    return draw


def burst(tasks: int) -> Arrivals:
    """All at once."""
    _check(tasks)
    return lambda _: Recording(np.zeros(tasks), 0.0)


def counted(starts: Times, counts: Times, step: float) -> Arrivals:
    """So many tasks in each stretch of time, at random moments within it.

    Args:
        starts: where each stretch begins, seconds, rising, shape (n,).
        counts: expected tasks in each, shape (n,); what is not whole is rounded up or down by chance.
        step: length of the last stretch; the others last until the next begins.
    """
    _check(float(counts.sum()))
    begins = starts - starts[0]
    lengths = np.diff(begins, append=begins[-1] + step)

    def draw(rng: np.random.Generator) -> Recording:
        whole = np.floor(counts)
        number = (whole + (rng.random(len(counts)) < counts - whole)).astype(np.int64)
        times = np.repeat(begins, number) + rng.random(int(number.sum())) * np.repeat(lengths, number)
        return Recording(np.sort(times), float(begins[-1] + step))

    return draw


def trace(path: Path) -> Arrivals:
    """Read a CSV file: a column of timestamps, or `timestamp,count` for stretches of time.

    Timestamps are seconds or ISO 8601; a header may stand first.

    Raises:
        PlanProblem: it cannot be read, or a row is none of this.
    """
    times, counts = [], []
    for line, row in read_rows(path):
        times.append(_moment(row[0], f"{path}:{line}"))
        if len(row) > 1 and row[1]:
            counts.append(_count(row[1], f"{path}:{line}"))
        if counts and len(counts) != len(times):
            raise PlanProblem(f"{path}:{line}: has {len(row)} columns; either every row has a count, or none")
    if not counts:
        _check(len(times))
        ordered = np.sort(np.array(times))
        recording = Recording(ordered - ordered[0], float(ordered[-1] - ordered[0]))
        return lambda _: recording
    order = np.argsort(np.array(times), kind="stable")
    starts = np.array(times)[order]
    if len(starts) < 2 or np.any(np.diff(starts) <= 0):
        raise PlanProblem(f"{path}: counts need at least two rows, each with a time of its own")
    return counted(starts, np.array(counts)[order], float(starts[-1] - starts[-2]))


def _check(tasks: float) -> None:
    if tasks > MOST_TASKS:
        raise PlanProblem(f"{tasks:.3g} tasks are more than {MOST_TASKS:,}; plan a shorter time with --for")


def _moment(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise PlanProblem(f"{where}: {text!r} is not a time; write seconds or 2026-11-25T13:00:00Z") from None
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not isfinite(value):
        raise PlanProblem(f"{where}: {text!r} is not a time")
    return value


def _count(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value < 0 or not isfinite(value):
        raise PlanProblem(f"{where}: {text!r} is not a number of tasks")
    return value
