"""`stalk round-trip` against a real HTTP server that plays the API."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from stalk.cli import main
from stalk.round_trip import round_trip

Reply = tuple[int, object]


class Api(ThreadingHTTPServer):
    """Answers from two lists; the last answer of each is repeated."""

    def __init__(self) -> None:
        self.posts: list[Reply] = [(202, {"id": "7", "status": "PENDING"})]
        self.gets: list[Reply] = [(200, {"id": "7", "status": "SUCCESS", "result": "done"})]
        self.location: str | None = "/tasks/7"
        self.seen: list[tuple[str, str, bytes, float]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def answer(self, replies: list[Reply]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, body, time.monotonic()))
        status, content = replies.pop(0) if len(replies) > 1 else replies[0]
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        if status == 202 and self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_POST(self) -> None:
        self.answer(self.server.posts)

    def do_GET(self) -> None:
        self.answer(self.server.gets)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def status(name: str, **more: object) -> Reply:
    return 200, {"id": "7", "status": name} | more


def test_success(api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    api.gets = [status("PENDING"), status("PROGRESS"), status("SUCCESS", result="test task return helm-test")]
    assert main(["round-trip", "--url", f"{api.url}/", "--timeout", "20"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SUCCESS after ")
    assert out.endswith(f' s: {api.url}/tasks/7 returned "test task return helm-test"\n')
    assert [(method, path) for method, path, *_ in api.seen] == [("POST", "/tasks")] + 3 * [("GET", "/tasks/7")]
    assert json.loads(api.seen[0][2]) == {"word": "helm-test"}


def test_pauses_grow_from_a_fifth_of_a_second(api: Api) -> None:
    api.gets = [*4 * [status("PENDING")], status("SUCCESS")]
    assert round_trip(api.url, 20) is None
    times = [when for method, _, _, when in api.seen if method == "GET"]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert 0.2 <= pauses[0] < 0.5
    assert pauses == sorted(pauses)


def test_api_that_is_not_ready_is_asked_again(api: Api) -> None:
    api.posts = [(503, {"detail": "the broker is away", "dependency": "broker"}), *api.posts]
    api.gets = [(503, {"detail": "Redis is away", "dependency": "results"}), *api.gets]
    assert round_trip(api.url, 20) is None
    assert [method for method, *_ in api.seen] == ["POST", "POST", "GET", "GET"]


def test_api_that_starts_later(capsys: pytest.CaptureFixture[str]) -> None:
    with Api() as server:
        server.socket.close()  # the port is known, but refuses connections
        late = Api.__new__(Api)
        late.__dict__ |= {"posts": server.posts, "gets": server.gets, "location": "/tasks/7", "seen": []}

        def start() -> None:
            time.sleep(0.5)
            ThreadingHTTPServer.__init__(late, ("127.0.0.1", server.server_port), Handler)
            late.serve_forever(0.01)

        thread = threading.Thread(target=start)
        thread.start()
        assert round_trip(server.url, 20) is None
        late.shutdown()
        late.server_close()
        thread.join()
    assert "SUCCESS" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["FAILURE", "REVOKED"])
def test_task_that_fails(api: Api, name: str) -> None:
    api.gets = [status(name, error="ValueError: no")]
    assert round_trip(api.url, 20) == f"the task ended in {name}: ValueError: no ({api.url}/tasks/7)"


def test_task_that_nobody_takes(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.gets = [status("PENDING")]
    assert main(["round-trip", "--url", api.url, "--timeout", "0.5"]) == 1
    assert capsys.readouterr().err == (
        f"stalk round-trip: no result within 0.5 s: {api.url}/tasks/7 is still PENDING; "
        "does a worker run, and does it consume the API's queue?\n"
    )


def test_broker_that_stays_away(api: Api) -> None:
    api.posts = [(503, {"detail": "the broker is away"})]
    problem = round_trip(api.url, 0.5)
    assert problem == (f'no result within 0.5 s: POST {api.url}/tasks answered 503: {{"detail": "the broker is away"}}')


def test_nobody_listens() -> None:
    with Api() as server:
        url = server.url
    problem = round_trip(url, 0.3) or ""
    assert problem.startswith(f"no result within 0.3 s: POST {url}/tasks got no answer: ")
    assert "refused" in problem


@pytest.mark.parametrize(
    ("posts", "gets", "problem"),
    [
        ((404, b"nothing here"), None, "POST {url}/tasks answered 404: nothing here; expected 202 and a Location"),
        ((200, {}), None, "POST {url}/tasks answered 200: {{}}; expected 202 and a Location"),
        (
            None,
            (404, {"detail": "gone"}),
            'GET {url}/tasks/7 answered 404: {{"detail": "gone"}}; expected 200 and a status',
        ),
        (None, (200, b"<html>"), "GET {url}/tasks/7 answered 200: <html>; expected 200 and a status"),
    ],
)
def test_answers_of_something_else(api: Api, posts: Reply | None, gets: Reply | None, problem: str) -> None:
    api.posts, api.gets = [posts or api.posts[0]], [gets or api.gets[0]]
    assert round_trip(api.url, 20) == problem.format(url=api.url)


def test_no_location(api: Api) -> None:
    api.location = None
    assert (round_trip(api.url, 20) or "").endswith("; expected 202 and a Location")


def test_relative_and_whole_locations(api: Api) -> None:
    api.location = f"{api.url}/elsewhere/7"
    assert round_trip(f"{api.url}/behind", 20) is None
    assert [path for _, path, *_ in api.seen] == ["/behind/tasks", "/elsewhere/7"]


@pytest.mark.parametrize("url", ["file:///etc", "api:8000"])
def test_url_that_is_none(url: str) -> None:
    assert round_trip(url, 20) == f"{url}/tasks is not an http:// or https:// URL"


def test_url_that_cannot_be_read() -> None:
    assert (round_trip("http://[", 20) or "").startswith("--url http://[: ")
