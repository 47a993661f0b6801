"""Times and rates as people write them, and the one exception for what they wrote wrong."""

import re

__all__ = ["PlanProblem", "rate", "seconds", "spoken"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = r"(\d{1,15}(?:\.\d*)?|\.\d+)(?:e(\d\d?))?"
_TIME = re.compile(rf"{_NUMBER}\s*([a-z]*)")
_RATE = re.compile(rf"{_NUMBER}\s*/\s*([a-z]+)")


class PlanProblem(Exception):
    """What is wrong with the input, and where, as one line."""


def _number(digits: str, exponent: str | None) -> float:
    return float(digits) * 10.0 ** int(exponent or 0)


def seconds(text: str, what: str) -> float:
    """Return the seconds that `500ms`, `5s`, `2m`, `1h`, `1d` or a plain number of seconds stand for.

    Args:
        text: what was written.
        what: where, for the error.

    Raises:
        PlanProblem: it is not a time.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None or (found[3] or "s") not in _UNITS:
        raise PlanProblem(f"{what}: {text!r} is not a time such as 500ms, 5s, 2m or 1h")
    return _number(found[1], found[2]) * _UNITS[found[3] or "s"]


def rate(text: str, what: str) -> float:
    """Return the tasks a second that `20/s`, `90/min`, `500/h` or `1e6/d` stand for.

    Raises:
        PlanProblem: it is not a rate above zero.
    """
    found = _RATE.fullmatch(text.strip())
    if found is None or found[3] not in _UNITS or not (tasks := _number(found[1], found[2])):
        raise PlanProblem(f"{what}: {text!r} is not a rate such as 20/s, 90/min or 1e6/d")
    return tasks / _UNITS[found[3]]


def spoken(value: float) -> str:
    """Return seconds as people say them: 0.35 s, 4.6 s, 34 s, 12 min, 3.1 h."""
    for limit, divisor, digits, unit in ((1, 1, 2, "s"), (10, 1, 1, "s"), (600, 1, 0, "s"), (7200, 60, 0, "min")):
        if value < limit:
            return f"{value / divisor:.{digits}f} {unit}"
    return f"{value / 3600:.1f} h"
