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
from e2e.chaos.judge import Answer, Silence
from e2e.harness import Release
from integration.harness import Background

__all__ = ["SteadyLoad", "answer_of", "silence_of"]

MIX: tuple[float, ...] = (0.2, 1, 0.3, 3, 0.5, 0.2)
"""Seconds of the tasks, one after another: 0.9 on average."""
INTERVAL = 1 / 3
MOST = 3000
READ_EVERY = 3
"""Of the steady load's tasks, one is asked for: one a second."""
CLIENT_SECONDS = 15.0


def silence_of(error: httpx.HTTPError) -> Silence:
    """Return what a request without an answer died of."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "not connected"
    return "timeout" if isinstance(error, httpx.TimeoutException) else "cut"


def answer_of(said: httpx.Response, at: float, seconds: float, reads: bool) -> Answer:
    """Return what an answer means; a 202 that names no id accepts nothing that could be counted."""
    accepted = said.status_code == 202 and not reads
    try:
        task_id = str(said.json()["id"]) if accepted else ""
    except (ValueError, KeyError, TypeError):
        task_id = ""
    retry_after = "Retry-After" in said.headers
    return Answer(at, said.status_code, task_id, retry_after, said.text, seconds, reads=reads)


class SteadyLoad(Background):
    """Submits a task every `INTERVAL` seconds, at most `MOST`, or only what it is told. Notes every answer.

    Beside that it reads the newest task once a second. A request that hangs does not hold up the next one: each has a
    thread of its own, 32 at most.
    """

    def __init__(self, release: Release, steady: bool = True) -> None:
        self.steady = steady
        self._release = release
        self._endpoints = Endpoints(release)
        super().__init__(self._follow, self._tick)
        self.answers: list[Answer] = []
        """To submissions."""
        self.reads: list[Answer] = []
        self._mix = cycle(MIX)
        self._http = httpx.Client(timeout=CLIENT_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))
        self._pool = ThreadPoolExecutor(32)
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
        answer = self._ask(self._http, "POST", "/tasks", number, body)
        self.answers.append(answer)
        return answer

    def read(self, task_id: str, number: int = 0) -> Answer:
        """Ask for a task, note the answer, and return it; its text is the body.

        Args:
            task_id: an accepted one.
            number: chooses the pod.
        """
        answer = self._ask(self._http, "GET", f"/tasks/{task_id}", number)
        self.reads.append(answer)
        return answer

    def _ask(
        self, http: httpx.Client, method: str, path: str, number: int, body: Mapping[str, object] | None = None
    ) -> Answer:
        reads = method == "GET"
        started = time.monotonic()
        pod, address = self._endpoints.choice(number)
        if address is None:
            return Answer(started, 0, text="no endpoint is ready", silence="no endpoint", reads=reads)
        try:
            said = http.request(method, f"http://{address}{path}", json=body)
        except httpx.HTTPError as error:
            seconds = time.monotonic() - started
            silence = silence_of(error)
            if silence != "timeout":
                self._endpoints.drop(address)
            elif self._gone(pod):
                silence = "cut"  # a port-forward may hang when its pod goes
            return Answer(started, 0, text=repr(error), seconds=seconds, silence=silence, reads=reads)
        return answer_of(said, started, time.monotonic() - started, reads)

    def _gone(self, pod: str) -> bool:
        """Tell whether a pod is not there any more, or is told to stop."""
        try:
            return bool(self._release.pod(pod).metadata.deletion_timestamp)
        except ApiException as error:
            return error.status == 404
        except HTTPError:
            return False

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
            if number % READ_EVERY == 0 and (accepted := self.accepted()):
                self._outstanding.append(self._pool.submit(self.read, accepted[-1], number))

    def stop(self) -> None:
        """Submit no more of the steady load, and return when all of it was answered."""
        self._stopped.set()
        wait(list(self._outstanding), 2 * CLIENT_SECONDS)

    def problems(self) -> list[str]:
        """Return what became of requests that noted no answer; call it after `stop`."""
        found = list(self._outstanding)
        waiting = sum(not future.done() for future in found)
        errors = [repr(error) for future in found if future.done() and (error := future.exception())]
        return [
            *(
                [f"{waiting} requests were not answered {2 * CLIENT_SECONDS:.0f} s after the load's end"]
                if waiting
                else []
            ),
            *(f"a request of the load broke: {error[:300]}" for error in sorted(set(errors))),
        ]

    def submit_many(self, number: int, **order: Any) -> None:
        """Submit so many equal tasks quickly, over 8 connections that stay open."""

        def some(share: int) -> None:
            with httpx.Client(timeout=CLIENT_SECONDS) as http:
                for _ in range(share):
                    self.answers.append(self._ask(http, "POST", "/tasks", share, {"word": "chaos", "ledger": order}))

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
