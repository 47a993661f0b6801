"""The chaos suite's load: each request ends in an answer or in a problem, and each silence has a reason."""

import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from kubernetes.client.exceptions import ApiException

from e2e.chaos import load as module
from e2e.chaos.load import SteadyLoad, answer_of, silence_of
from e2e.harness import Release
from integration.harness import Background, eventually

HANGS_SECONDS = 0.5


class Handler(BaseHTTPRequestHandler):
    """An API that does what the word says."""

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"hang" in body:
            time.sleep(3 * HANGS_SECONDS)
        elif b"cut" in body:
            self.close_connection = True
        else:
            self._answer(202, b'{"id": "a"}' if b"bare" not in body else b"{}")

    def do_GET(self) -> None:
        self._answer(200, b'{"status": "SUCCESS"}')

    def log_message(self, *_: Any) -> None:
        pass


class FakeRelease:
    """A release whose API pod is there, goes, or has gone."""

    fullname = "stalk"
    namespace = "stalk"
    pod_is: str = "there"

    def pod(self, _: str) -> Any:
        if self.pod_is == "gone":
            raise ApiException(404)
        return SimpleNamespace(metadata=SimpleNamespace(deletion_timestamp="now" if self.pod_is == "going" else None))


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, Background(lambda _: server.serve_forever(0.05)):
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def release() -> FakeRelease:
    return FakeRelease()


@pytest.fixture
def make(url: str, release: FakeRelease, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SteadyLoad]]:
    monkeypatch.setattr(module, "CLIENT_SECONDS", HANGS_SECONDS)
    monkeypatch.setattr(module, "INTERVAL", 0.02)
    made = []

    def make(steady: bool = False) -> SteadyLoad:
        load = SteadyLoad(cast("Release", release), steady)
        monkeypatch.setattr(load._endpoints, "refresh", lambda: None)
        load._endpoints._addresses = {"api-1": url}
        made.append(load)
        return load

    yield make
    for load in made:
        load._pool.shutdown()
        load._http.close()


def test_each_silence_has_its_reason(make: Callable[..., SteadyLoad], release: FakeRelease) -> None:
    load = make()
    hung = load.submit(hang=1)
    assert (hung.status, hung.silence) == (0, "timeout")
    assert HANGS_SECONDS <= hung.seconds < 3 * HANGS_SECONDS
    for release.pod_is in ("going", "gone"):  # then it is the port-forward that hangs
        assert load.submit(hang=1).silence == "cut"
    assert load.submit(cut=1).silence == "cut"
    assert load.submit().silence == "no endpoint"  # until there is another port-forward
    load._endpoints._addresses = {"api-1": "127.0.0.1:1"}
    assert load.submit().silence == "not connected"
    assert load.accepted() == []


def test_timeouts_are_told_from_connections_that_break() -> None:
    assert silence_of(httpx.ConnectTimeout("")) == "not connected"
    assert silence_of(httpx.ReadTimeout("")) == "timeout"
    assert silence_of(httpx.ReadError("")) == "cut"


def test_acceptance_without_an_id_is_an_answer_of_its_own(make: Callable[..., SteadyLoad]) -> None:
    load = make()
    load.submit(bare=1)
    [answer] = load.answers
    assert (answer.status, answer.accepted, answer.text) == (202, False, "{}")
    for body in ("[]", "no JSON", "3"):
        assert not answer_of(httpx.Response(202, text=body), 0, 0, reads=False).accepted


def test_steady_load_submits_and_reads(make: Callable[..., SteadyLoad]) -> None:
    load = make(steady=True)
    with load:
        eventually(lambda: load.reads and len(load.accepted()) >= 10)
        load.stop()
        assert load.problems() == []
    assert all(answer.right and answer.reads for answer in load.reads)
    assert len(load.reads) < len(load.answers)
    assert all(answer.seconds > 0 for answer in load.answers)


def test_request_that_breaks_or_never_ends_is_a_problem(
    make: Callable[..., SteadyLoad], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = make(steady=True)

    def breaks(*_: Any, **__: Any) -> Any:
        raise KeyError("id")

    monkeypatch.setattr(load, "submit", breaks)
    with load:
        eventually(lambda: load._outstanding)
        load._outstanding.append(load._pool.submit(time.sleep, 6 * HANGS_SECONDS))  # type: ignore[arg-type]
        load.stop()
        late, broke = load.problems()
    assert late == "1 requests were not answered 1 s after the load's end"
    assert broke == "a request of the load broke: KeyError('id')"
