"""Arrivals from what Prometheus has recorded: its answer to a range query, from a file or over HTTP."""

import json
import urllib.error
import urllib.parse
import urllib.request
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from stalk.plan.arrivals import Arrivals, counted
from stalk.plan.units import PlanProblem

__all__ = ["ask", "from_answer", "read"]

TIMEOUT = 30.0
POINTS = 11_000
"""Prometheus refuses a range of more points for a series."""


def read(path: Path) -> Arrivals:
    """Take a saved answer of `/api/v1/query_range`.

    Raises:
        PlanProblem: the file is no such answer.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise PlanProblem(f"{path}: {error.strerror}") from error
    return from_answer(text, str(path))


def ask(url: str, query: str, end: float, length: float, step: float) -> Arrivals:
    """Ask Prometheus for a range.

    Args:
        url: of Prometheus, such as http://localhost:9090; a path, and user:password, may be in it.
        query: answers tasks a second.
        end: seconds since the epoch.
        length: seconds before it.
        step: seconds between two points.

    Raises:
        PlanProblem: it cannot be reached, or answers something else.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PlanProblem(f"--prometheus {url}: is no address such as http://localhost:9090")
    if length / step > POINTS:
        raise PlanProblem(
            f"--step {step:g}s: {length / step:.0f} points, and Prometheus gives {POINTS}; make it longer"
        )
    words = {"query": query, "start": f"{end - length:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
    place = parts._replace(
        netloc=parts.netloc.rpartition("@")[2],
        path=f"{parts.path.rstrip('/')}/api/v1/query_range",
        query=urllib.parse.urlencode(words),
    )
    where = f"--prometheus {place._replace(query='').geturl()}"
    request = urllib.request.Request(place.geturl())  # noqa: S310 (http or https, see above)
    if parts.username is not None:
        request.add_header("Authorization", _basic(parts.username, parts.password or ""))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            return from_answer(answer.read(), where)
    except urllib.error.HTTPError as error:
        with error:
            raise PlanProblem(f"{where}: answered {error.code}: {_error_text(error.read())}") from error
    except OSError as error:
        raise PlanProblem(f"{where}: {getattr(error, 'reason', None) or error}") from error


def _basic(username: str, password: str) -> str:
    from base64 import b64encode

    pair = f"{urllib.parse.unquote(username)}:{urllib.parse.unquote(password)}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _error_text(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace").strip() or "nothing"


def from_answer(body: bytes, where: str) -> Arrivals:
    """Return the arrivals of a range of tasks a second; several series are added up.

    Args:
        body: JSON, as `/api/v1/query_range` answers.
        where: it comes from, for the error.

    Raises:
        PlanProblem: it is no matrix with at least two points.
    """
    sums: dict[float, float] = {}
    try:
        answer: Any = json.loads(body)
        if answer["data"]["resultType"] != "matrix":
            raise PlanProblem(f"{where}: is a {answer['data']['resultType']}; a range query answers a matrix")
        for series in answer["data"]["result"]:
            for moment, value in series["values"]:
                number = float(value)
                if isfinite(number):  # NaN where nothing was scraped
                    sums[float(moment)] = sums.get(float(moment), 0.0) + max(0.0, number)
    except (ValueError, KeyError, TypeError) as error:
        raise PlanProblem(f"{where}: is not what Prometheus answers to a range query") from error
    if len(sums) < 2:
        raise PlanProblem(f"{where}: holds {len(sums)} points; the query finds nothing, or the range is too short")
    starts = np.array(sorted(sums))
    steps = np.diff(starts)
    step = float(steps.min())
    # A hole in the record is no traffic: a value stands for one step.
    counts = np.array([sums[moment] for moment in starts.tolist()]) * step
    holes = np.flatnonzero(steps > 1.5 * step)
    starts, counts = np.insert(starts, holes + 1, starts[holes] + step), np.insert(counts, holes + 1, 0.0)
    return counted(starts, counts, step)
