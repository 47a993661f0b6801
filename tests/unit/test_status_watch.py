"""`stalk status` that goes on: in a terminal, where the API server is away for a while, and as a picture of it."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kube.release import ServedRelease

STALK = str(Path(sys.executable).parent / "stalk")
HPA = "keda-hpa-stalk-worker-default"
MESSAGE = "New size: 3; reason: [/bold] external metric s0-rabbitmq(map[string]string{a: [red]}) above target"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedRelease]:
    (tmp_path / "service-account").mkdir()
    release = ServedRelease(tmp_path / "service-account")
    release.objects["events"] = [
        {
            "metadata": {"name": f"{HPA}.1"},
            "involvedObject": {"kind": "HorizontalPodAutoscaler", "name": HPA},
            "reason": "SuccessfulRescale",
            "message": MESSAGE,
            "lastTimestamp": "2026-11-25T15:10:00Z",
        }
    ]
    with release.serving():
        yield release


class Status:
    """A `stalk status` that runs, and what it has printed so far."""

    def __init__(self, served: ServedRelease, folder: Path, *words: str, terminal: bool = False) -> None:
        self.said = ""
        environment = {
            "PATH": "/nowhere",  # neither kubectl nor Secrets: queue lengths are not what is looked at here
            "HOME": str(folder),
            "KUBECONFIG": str(served.kubeconfig(folder)),
            "TERM": "xterm",
            "COLUMNS": "400",
            "LINES": "50",
        }
        self._end, theirs = pty.openpty() if terminal else os.pipe()
        if terminal:
            termios.tcsetwinsize(theirs, (50, 400))
        self.process = subprocess.Popen(
            [STALK, "status", "--namespace", served.namespace, "--interval", "0.2", *words],
            cwd=folder,
            env=environment,
            stdin=theirs if terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, enough: Callable[[str], object]) -> None:
        """Read on until what was printed, without a terminal's escapes, is enough."""
        deadline = time.monotonic() + 60
        while not enough(self.said):
            assert time.monotonic() < deadline, self.said
            if select.select([self._end], [], [], 1)[0]:
                self._read()

    def stop(self, sent: int = signal.SIGINT) -> int:
        """Press Ctrl-C, or send another signal; return the exit code."""
        self.process.send_signal(sent)
        return self.wait()

    def wait(self) -> int:
        while self._read():
            pass
        return self.process.wait(60)

    def _read(self) -> bool:
        try:
            data = os.read(self._end, 65536)
        except OSError:  # a terminal whose other end was closed
            return False
        self.said += ESCAPES.sub("", data.decode(errors="replace"))
        return bool(data)

    def __enter__(self) -> "Status":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)


def test_in_a_terminal_a_message_stands_as_kubernetes_wrote_it(served: ServedRelease, tmp_path: Path) -> None:
    with Status(served, tmp_path, "--watch", terminal=True) as status:
        status.until(lambda said: said.count("default") > 2)
        assert "LAST SCALE EVENT" in status.said
        assert MESSAGE in status.said
        assert "queue lengths: /api/v1/namespaces/doctor-a/secrets/stalk-credentials does not exist" in status.said
        assert status.stop() == 0


def test_a_terminal_shows_what_changes(served: ServedRelease, tmp_path: Path) -> None:
    with Status(served, tmp_path, "--watch", terminal=True) as status:
        status.until(lambda said: "default" in said)
        served.deployment("stalk-worker-default")["spec"]["replicas"] = 7
        status.until(lambda said: re.search(r"default .* 7 ", said))
        served.forbidden = {"scaledobjects"}
        status.until(lambda said: "ScaledObjects: GET " in said)


def looks(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{") and line.endswith("}")]


def test_a_look_that_fails_does_not_end_the_watch(served: ServedRelease, tmp_path: Path) -> None:
    with Status(served, tmp_path, "--watch", "--json", "--plot", "out.svg") as status:
        status.until(lambda said: len(looks(said)) > 1)
        served.forbidden = {"deployments"}
        status.until(lambda said: "answered 403: Forbidden; this is as of " in said)
        kept = next(each for each in looks(status.said) if "Kubernetes" in each["unread"])
        assert kept["pools"], "the last that was seen"
        assert kept["at"] in {each["at"] for each in looks(status.said) if not each["unread"]}
        served.forbidden = set()
        status.until(lambda said: not looks(said)[-1]["unread"])
        assert status.stop() == 0
        assert re.search(r"drew \d+ looks over \d+ s into out.svg", status.said), status.said
    assert "<svg" in (tmp_path / "out.svg").read_text()


def test_what_was_seen_is_drawn_though_the_last_looks_failed(served: ServedRelease, tmp_path: Path) -> None:
    with Status(served, tmp_path, "--plot", "out.svg", "--for", "4") as status:
        status.until(lambda said: "default" in said)
        served.forbidden = {"deployments"}
        assert status.wait() == 0
        assert "Kubernetes: GET " in status.said
    assert "<svg" in (tmp_path / "out.svg").read_text()


def test_the_first_look_that_fails_is_an_error(served: ServedRelease, tmp_path: Path) -> None:
    served.forbidden = {"deployments"}
    with Status(served, tmp_path, "--watch", "--plot", "out.svg") as status:
        assert status.wait() == 1
        assert "answered 403: Forbidden" in status.said
        assert status.said.count("\n") == 1
    assert not (tmp_path / "out.svg").exists()


@pytest.mark.parametrize(
    ("file", "why"), [("out.nonsense", "has none of the endings ."), ("no/out.svg", "there is no folder no")]
)
def test_a_picture_that_cannot_be_written_is_told_before_the_watch(
    served: ServedRelease, tmp_path: Path, file: str, why: str
) -> None:
    with Status(served, tmp_path, "--plot", file, "--for", "300") as status:
        assert status.wait() == 1
        assert why in status.said
    assert served.requests == []
