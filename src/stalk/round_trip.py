"""`stalk round-trip`: sends one real task through the API and waits for its result. `helm test` runs it."""

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any, NoReturn
from urllib.parse import urljoin

__all__ = ["round_trip"]

WORD = "helm-test"
NOT_READY = {502, 503, 504}  # also what a gateway answers for an API that starts
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
LONGEST_REQUEST = 10.0

# A proxy of the environment is for the world outside; the API is in the cluster.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class _Failed(Exception):
    """The reason, as one line."""


def round_trip(url: str, timeout: float) -> str | None:
    """Post a task to the API at `url` and wait for SUCCESS.

    Args:
        url: of the API, without `/tasks`.
        timeout: seconds for all of it; workers that start from zero are part of it.

    Returns:
        What is wrong, or None.
    """
    started = time.monotonic()
    clock = _Clock(started + timeout, timeout)
    tasks = f"{url.rstrip('/')}/tasks"
    try:
        answer = clock.until_answered(_request(tasks, {"word": WORD}))
        place = answer.headers.get("Location")
        if answer.status != 202 or not place:
            answer.unexpected("202 and a Location")
        task = urljoin(tasks, place)
        while True:
            answer = clock.until_answered(_request(task))
            body = answer.json()
            if answer.status != 200 or "status" not in body:
                answer.unexpected("200 and a status")
            if body["status"] == "SUCCESS":
                result = json.dumps(body.get("result"), ensure_ascii=False)
                print(f"SUCCESS after {time.monotonic() - started:.1f} s: {task} returned {result}")
                return None
            if body["status"] in {"FAILURE", "REVOKED"}:
                return f"the task ended in {body['status']}: {body.get('error') or 'no error text'} ({task})"
            clock.pause(f"{task} is still {body['status']}; does a worker run, and does it consume the API's queue?")
    except ValueError as error:
        return f"--url {url}: {error}"
    except _Failed as failed:
        return str(failed)


def _request(url: str, body: Any = None) -> urllib.request.Request:
    if not url.startswith(("http://", "https://")):
        raise _Failed(f"{url} is not an http:// or https:// URL")
    data = None if body is None else json.dumps(body).encode()
    return urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 (checked above)


class _Answer:
    """A request's answer, whatever its status."""

    def __init__(self, request: urllib.request.Request, response: Any) -> None:
        self.request = f"{request.get_method()} {request.full_url}"
        self.status: int = response.status
        self.headers = response.headers
        self.body: bytes = response.read()

    def __str__(self) -> str:
        return f"{self.request} answered {self.status}: {self.body[:300].decode(errors='replace').strip()}"

    def json(self) -> dict[str, Any]:
        try:
            body = json.loads(self.body)
        except ValueError:
            body = None
        return body if isinstance(body, dict) else {}

    def unexpected(self, wanted: str) -> NoReturn:
        raise _Failed(f"{self}; expected {wanted}")


class _Clock:
    """Pauses that grow, and the time at which patience ends."""

    def __init__(self, deadline: float, timeout: float) -> None:
        self.deadline, self.timeout, self.next_pause = deadline, timeout, FIRST_PAUSE

    def until_answered(self, request: urllib.request.Request) -> _Answer:
        while True:
            try:
                left = max(0.1, self.deadline - time.monotonic())
                with _opener.open(request, timeout=min(LONGEST_REQUEST, left)) as response:
                    return _Answer(request, response)
            except urllib.error.HTTPError as error:
                answer = _Answer(request, error)
                if answer.status not in NOT_READY:
                    return answer
                last = str(answer)
            except (OSError, http.client.HTTPException) as error:
                reason = error.reason if isinstance(error, urllib.error.URLError) else error
                last = f"{request.get_method()} {request.full_url} got no answer: {reason}"
            self.pause(last)

    def pause(self, last: str) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise _Failed(f"no result within {self.timeout:g} s: {last}")
        time.sleep(min(self.next_pause, left))
        self.next_pause = min(self.next_pause * 1.5, LONGEST_PAUSE)
