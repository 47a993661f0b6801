"""Many tasks at once: how long until the last has ended, and what the pods cost."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import httpx

from e2e.harness import Release, submit_many, until
from integration.harness import Background

SAMPLE = 0.5
"""Seconds between two looks."""
REST = 60
"""Seconds after the last task that a release has to come to rest; a CPU autoscaler takes five minutes at least."""


@dataclass
class Look:
    """One moment, counted from the first publish."""

    seconds: float
    backlog: int
    """Messages that no worker has taken."""
    pods: int
    """Pods that exist, those that start and end included: they are what is paid for."""


@dataclass
class Burst:
    """What one burst looked like."""

    name: str
    looks: list[Look] = field(default_factory=list)
    drained: float = 0.0
    """Seconds until the last task had ended."""

    def pod_seconds(self, until: float = float("inf")) -> float:
        """Return pods times the seconds that they existed."""
        return sum(
            (min(after.seconds, until) - before.seconds) * before.pods
            for before, after in itertools.pairwise(self.looks)
            if before.seconds < until
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; looks as [seconds, backlog, pods]."""
        rows = [[round(look.seconds, 3), look.backlog, look.pods] for look in self.looks]
        return asdict(self) | {"drained": round(self.drained, 3), "looks": rows}

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        return cls(written["name"], [Look(*row) for row in written["looks"]], written["drained"])

    @property
    def most(self) -> int:
        """The most pods at one time."""
        return max(look.pods for look in self.looks)

    @property
    def rest(self) -> int:
        """Pods that stay."""
        return self.looks[-1].pods


@contextmanager
def _watched(release: Release, http: httpx.Client, burst: Burst, began: float) -> Iterator[None]:
    def look(end: threading.Event) -> None:
        while True:
            backlog = sum(http.get("/queues").json()["ready"].values())
            burst.looks.append(Look(time.monotonic() - began, backlog, release.replicas()))
            if end.wait(SAMPLE):
                return

    with Background(look):
        yield


def run(release: Release, name: str, tasks: int, least: int) -> Burst:
    """Publish all tasks at once and follow them.

    Args:
        release: at rest, with `least` pods of the pool default.
        name: of the burst.
        tasks: how many.
        least: pods that stay when nothing is to be done.
    """
    until(lambda: release.replicas() == least and (release.worker().status.ready_replicas or 0) == least)
    burst = Burst(name)
    with release.api() as http:
        began = time.monotonic()
        with _watched(release, http, burst, began):
            left = submit_many(http, tasks)

            def ended() -> bool:
                while left and http.get(f"/tasks/{left[0]}").json()["status"] == "SUCCESS":
                    left.pop(0)
                return not left

            until(ended, timeout=240)
            burst.drained = time.monotonic() - began
            limit = burst.drained + REST
            until(lambda: release.replicas() == least or time.monotonic() - began > limit)
            time.sleep(2 * SAMPLE)
    return burst
