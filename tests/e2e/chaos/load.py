"""The steady load of a scenario: short tasks of mixed length, a few a second, whatever happens to the API."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import cycle
from typing import Any

import httpx
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from e2e.balanced import Endpoints
from e2e.chaos.judge import Answer
from e2e.harness import Release
from integration.harness import Background

__all__ = ["SteadyLoad"]

MIX: tuple[float, ...] = (0.2, 1, 0.3, 3, 0.5, 0.2)
"""Seconds of the tasks, one after another: 0.9 on average."""
INTERVAL = 1 / 3
MOST = 3000
CLIENT_SECONDS = 15.0


class SteadyLoad(Background):
    """Submits a task every `INTERVAL` seconds, at most `MOST`, or only what it is told. Notes every answer.

    A request that hangs does not hold up the next one: each has a thread of its own, 24 at most.
    """

    def __init__(self, release: Release, steady: bool = True) -> None:
        self.steady = steady
        self._endpoints = Endpoints(release)
        super().__init__(self._follow, self._tick)
        self.answers: list[Answer] = []
        self._mix = cycle(MIX)
        self._http = httpx.Client(timeout=CLIENT_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))
        self._pool = ThreadPoolExecutor(24)
        self._stopped = threading.Event()
        self._outstanding: list[Future[Answer]] = []

    def accepted(self, since: float = 0) -> list[str]:
        """Return the ids accepted by requests made since then, by the monotonic clock, in that order."""
        found = sorted((answer.at, answer.task_id) for answer in list(self.answers) if answer.accepted)
        return [task_id for at, task_id in found if at >= since]

    def submit(self, number: int = 0, countdown: int = 0, **order: Any) -> Answer:
        """Submit one task, note the answer, and return it.

        Args:
            number: chooses the pod.
            countdown: seconds that it waits in the broker first.
            order: what the ledger task is to do.
        """
        body = {"word": "chaos", "countdown": countdown, "ledger": order}
        answer = self._ask(self._http, number, body)
        self.answers.append(answer)
        return answer

    def _ask(self, http: httpx.Client, number: int, body: Mapping[str, object]) -> Answer:
        started = time.monotonic()
        address = self._endpoints.address(number)
        if address is None:
            return Answer(started, 0, text="no endpoint is ready")
        try:
            said = http.post(f"http://{address}/tasks", json=body)
        except httpx.HTTPError as error:
            if isinstance(error, httpx.ConnectError | httpx.RemoteProtocolError):
                self._endpoints.drop(address)
            return Answer(started, 0, text=f"{error!r} after {time.monotonic() - started:.1f} s")
        if said.status_code == 202:
            return Answer(started, 202, said.json()["id"])
        return Answer(started, said.status_code, retry_after="Retry-After" in said.headers, text=said.text)

    def _follow(self, end: threading.Event) -> None:
        while not end.wait(0.2):
            try:
                self._endpoints.refresh()
            except (ApiException, HTTPError, AssertionError):
                continue  # the cluster is hurt, or the pod went before the port-forward stood; look again

    def _tick(self, end: threading.Event) -> None:
        next_at = time.monotonic()
        for number in range(MOST if self.steady else 0):
            next_at += INTERVAL
            if end.wait(max(0, next_at - time.monotonic())) or self._stopped.is_set():
                return
            if self.answers or self.ready():
                self._outstanding.append(self._pool.submit(self.submit, number, seconds=next(self._mix)))

    def stop(self) -> None:
        """Submit no more of the steady load, and return when all of it was answered."""
        self._stopped.set()
        wait(list(self._outstanding), 2 * CLIENT_SECONDS)

    def submit_many(self, number: int, **order: Any) -> None:
        """Submit so many equal tasks quickly, over 8 connections that stay open."""

        def some(share: int) -> None:
            with httpx.Client(timeout=CLIENT_SECONDS) as http:
                for _ in range(share):
                    self.answers.append(self._ask(http, share, {"word": "chaos", "ledger": order}))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(some, [number // 8 + (index < number % 8) for index in range(8)]))

    def ready(self) -> bool:
        """Tell whether there is anybody to ask."""
        return self._endpoints.address(0) is not None

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._pool.shutdown(wait=True)
        self._http.close()
        self._endpoints.close()
