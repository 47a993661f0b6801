"""How long tasks run."""

from collections.abc import Callable
from math import isfinite, log
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from stalk.plan.tables import read_rows
from stalk.plan.units import PlanProblem, seconds

__all__ = ["Durations", "Times", "constant", "empirical", "exponential", "lognormal", "parse"]

Times: TypeAlias = npt.NDArray[np.float64]
Durations: TypeAlias = Callable[[int, np.random.Generator], Times]
"""Draws the seconds that so many tasks run, shape (number,)."""

_Z95 = 1.6448536269514722
"""The standard normal distribution's 95th percentile."""


def constant(each: float) -> Durations:
    """Every task runs the same number of seconds."""
    return lambda number, _: np.full(number, each)


def exponential(mean: float) -> Durations:
    """Exponential, by its mean in seconds: the service time that queueing theory has formulas for."""
    return lambda number, rng: rng.exponential(mean, number)


def lognormal(p50: float, p95: float) -> Durations:
    """Lognormal, by two percentiles in seconds: many short tasks and a long tail, as measured run times mostly are."""
    sigma = log(p95 / p50) / _Z95
    return lambda number, rng: rng.lognormal(log(p50), sigma, number)


def empirical(measured: Times) -> Durations:
    """Drawn from measured seconds, each as likely as the others."""
    return lambda number, rng: rng.choice(measured, number)


def parse(text: str, what: str) -> Durations:
    """Return the distribution that `2s`, `mean=2s`, `p50=2s,p95=8s` or a CSV file of seconds stands for.

    Args:
        text: what was written.
        what: where, for the error.

    Raises:
        PlanProblem: it is none of these.
    """
    if Path(text).is_file():
        return empirical(_measured(Path(text)))
    if "=" not in text:
        if text.endswith(".csv"):
            raise PlanProblem(f"{what}: there is no file {text}")
        return constant(_above_zero(text, what))
    given = dict(part.strip().partition("=")[::2] for part in text.split(","))
    parts = {name: _above_zero(value, f"{what}: {name}") for name, value in given.items()}
    if parts.keys() == {"mean"}:
        return exponential(parts["mean"])
    if parts.keys() != {"p50", "p95"}:
        raise PlanProblem(f"{what}: {text!r} is not 2s, mean=2s, p50=2s,p95=8s or a CSV file of seconds")
    if parts["p95"] < parts["p50"]:
        raise PlanProblem(f"{what}: p95 is below p50 in {text!r}")
    return lognormal(parts["p50"], parts["p95"])


def _above_zero(text: str, what: str) -> float:
    value = seconds(text, what)
    if not value:
        raise PlanProblem(f"{what}: {text!r} is no time at all; a task takes some")
    return value


def _measured(path: Path) -> Times:
    found = []
    for line, row in read_rows(path):
        try:
            value = float(row[0])
        except ValueError:
            value = -1.0
        if value < 0 or not isfinite(value):
            raise PlanProblem(f"{path}:{line}: {row[0]!r} is not a number of seconds")
        found.append(value)
    return np.array(found)
