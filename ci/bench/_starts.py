"""How long a task waits when no worker runs, part by part: with KEDA, and with a hand on `spec.replicas`."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from kubernetes import client

from e2e.harness import Release, submit, until, wait_for_all

# The kernel notes in ticks since boot when PID 1 of a container began; the API server knows whole seconds alone.
PID_1 = """
import os, time
ticks = int(open("/proc/1/stat").read().rpartition(")")[2].split()[19])
print(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK"))
"""


@dataclass
class Start:
    """One way from zero, in seconds since the epoch."""

    published: float
    asked: float
    """The Deployment's replicas went above zero."""
    running: float
    """The worker's process began."""
    started: float
    """The API says that the task has."""

    @property
    def parts(self) -> list[float]:
        """Publish to replica asked for, to pod running, to task started."""
        return [self.asked - self.published, self.running - self.asked, self.started - self.running]


class Replicas:
    """When the pool's Deployment last went to zero, and last left it, as a watch of it tells."""

    def __init__(self, release: Release) -> None:
        self.zero_since = 0.0
        self.asked = threading.Event()
        self.asked_at = 0.0
        self._wanted = -1
        what = [f"deployment/{release.fullname}-worker-default", "--watch", "-o", r'jsonpath={.spec.replicas}{"\n"}']
        self._process = subprocess.Popen(
            ["kubectl", "-n", release.namespace, "get", *what],
            env=release.environment,
            text=True,
            stdout=subprocess.PIPE,
        )
        self._thread = threading.Thread(target=self._follow)

    def _follow(self) -> None:
        for line in self._process.stdout or []:
            self._note(int(line))

    def _note(self, wanted: int) -> None:
        if wanted and self._wanted <= 0:
            self.asked_at = time.time()
            self.asked.set()
        elif not wanted and self._wanted:
            self.zero_since = time.time()
            self.asked.clear()
        self._wanted = wanted

    def __enter__(self) -> "Replicas":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()


@contextmanager
def states(http: httpx.Client, task: str) -> Iterator[Iterator[str]]:
    """Yield a task's states as the API tells them."""
    with http.stream("GET", f"/tasks/{task}/events", timeout=120) as answer:
        answer.raise_for_status()
        prefix = "data:"
        lines = (line for line in answer.iter_lines() if line.startswith(prefix))
        yield (str(json.loads(line.removeprefix(prefix))["status"]) for line in lines)


def process_began(release: Release) -> float:
    """Return when PID 1 of the pool's only pod began, by the clock of its node."""
    said = release.kubectl("exec", f"deployment/{release.fullname}-worker-default", "--", "python", "-c", PID_1)
    return float(said.splitlines()[-1])


def _at_zero(release: Release) -> None:
    until(lambda: not release.worker().spec.replicas and release.replicas() == 0)


def _finish(release: Release, http: httpx.Client, task: str, replicas: Replicas, published: float) -> Start:
    with states(http, task) as said:
        next(state for state in said if state != "PENDING")
        started = time.time()
    if not replicas.asked.wait(10):
        raise RuntimeError("the task has started, but no replica was asked for")
    start = Start(published, replicas.asked_at, process_began(release), started)
    wait_for_all(http, [task])
    return start


def by_keda(release: Release, rounds: int, interval: float) -> list[Start]:
    """Publish into an empty queue, again and again, and let KEDA do the rest."""
    found = []
    with release.api() as http, Replicas(release) as replicas:
        for number in range(rounds):
            _at_zero(release)
            # KEDA goes to zero at a poll: from there each round has another part of the interval before it.
            since = time.time() - replicas.zero_since
            time.sleep(((number + 0.5) / rounds * interval - since) % interval)
            published = time.time()
            found.append(_finish(release, http, submit(http), replicas, published))
    return found


def by_hand(release: Release, rounds: int) -> list[Start]:
    """Ask for the replica at once, with the task already there: what no autoscaler can beat."""
    found = []
    # KEDA gives back the replicas that it found, when its object goes.
    until(lambda: not release.kubectl("get", "scaledobjects", "-o", "name"))
    scale(release, 0)
    with release.api() as http, Replicas(release) as replicas:
        for _ in range(rounds):
            _at_zero(release)
            task = submit(http)
            asked = time.time()
            scale(release, 1)
            found.append(_finish(release, http, task, replicas, asked))
            scale(release, 0)
    return found


def scale(release: Release, number: int) -> None:
    """Do what `kubectl scale` does, without starting a program."""
    body: dict[str, Any] = {"spec": {"replicas": number}}
    client.AppsV1Api().patch_namespaced_deployment_scale(f"{release.fullname}-worker-default", release.namespace, body)
