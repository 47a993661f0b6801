"""The end-to-end tests' prober: what it answers, and what follows from that."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from e2e.programs import command
from e2e.reach import is_open, unenforced


def ask(port: int) -> str:
    words = command("127.0.0.1", port)
    return subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server


def test_open_port_is_open(listening: socket.socket) -> None:
    listening.listen()
    assert is_open(ask(listening.getsockname()[1]))


def test_port_without_a_server_is_closed(listening: socket.socket) -> None:
    answer = ask(listening.getsockname()[1])  # bound, so nobody else takes it, but not listening
    assert answer == "refused"
    assert not is_open(answer)


def test_port_that_drops_packets_is_closed(listening: socket.socket) -> None:
    """A full backlog drops what comes, as a network does that enforces a policy."""
    listening.listen(0)
    waiting = []
    for _ in range(4):
        held = socket.socket()
        held.setblocking(False)
        held.connect_ex(listening.getsockname())
        waiting.append(held)
    answer = ask(listening.getsockname()[1])
    for held in waiting:
        held.close()
    assert answer == "timeout"
    assert not is_open(answer)


def test_another_error_proves_nothing() -> None:
    with pytest.raises(AssertionError, match="cannot tell"):
        is_open("error [Errno 113] No route to host")


class Network:
    """One that enforces a policy after some attempts, or never."""

    def __init__(self, after: int | None, closed: str = "timeout") -> None:
        self.after, self.closed = after, closed
        self.denied = False
        self.attempts = 0

    def deny(self) -> None:
        self.denied = True

    def reach(self) -> str:
        self.attempts += self.denied
        return self.closed if self.after is not None and self.attempts > self.after else "open"


@pytest.mark.parametrize("closed", ["timeout", "refused"])
@pytest.mark.parametrize("after", [0, 1])
def test_network_that_enforces_late_enforces(after: int, closed: str) -> None:
    network = Network(after, closed)
    assert unenforced(network.reach, network.deny, within=5) is None


def test_network_that_never_enforces_says_what_was_tried() -> None:
    network = Network(None)
    reason = unenforced(network.reach, network.deny, within=0.1)
    assert reason == "one pod still reached the other 0.1 s after a policy that denies it everything"
    assert network.attempts


def test_pods_that_never_reached_each_other_prove_nothing() -> None:
    with pytest.raises(AssertionError, match="even without a policy"):
        unenforced(lambda: "timeout", lambda: None)
    broken = Network(0, "error [Errno 101] Network is unreachable")
    with pytest.raises(AssertionError, match="cannot tell"):
        unenforced(broken.reach, broken.deny, within=0.1)
