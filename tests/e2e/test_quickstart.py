"""docs/quickstart.md from its first line to its last, as a newcomer types it; only the kind cluster is replaced."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml
from kubernetes import client

from charting.rendering import CHART, merged
from e2e.harness import Release, of_this_cluster, until
from e2e.typed import typed, watched
from snippets.blocks import pages

pytestmark = pytest.mark.timeout(600)

PAGE = pages()["docs/quickstart.md"]
LINES = [line for block in PAGE.blocks if block.language == "sh" for line in block.text.splitlines()]
HERE = {
    "git clone https://github.com/stalk-celery/stalk": "true",
    "cd stalk": "true",
    "ci/kind/require docker kind kubectl curl": "ci/kind/require kubectl curl",
}
"""What is typed instead where the cluster is there already, and this is the checkout."""
SHORTER = {
    "extraEnv": {"STEP_SECONDS": "0.3"},
    "workerDefaults": {"autoscaling": {"cooldownPeriod": 35}},
}
"""The demo's task takes 3 s in place of 10, and workers go 35 s after the last one in place of 90."""
PROMISED = 120
"""Within so many seconds, the page says, the pool is at zero; tests/chart/test_quickstart.py reckons it."""


class Newcomer:
    """Types the lines of the page, and knows what to expect after each.

    Args:
        release: that the page installs.
        values: a file with what is this cluster's own.
    """

    def __init__(self, release: Release, values: Path) -> None:
        self.release = release
        self.values = values
        self.open = ExitStack()
        self.url = ""
        self.task = ""

    def type(self, line: str) -> None:
        """Type a line; the one of this class's methods that its beginning names expects something of it."""
        for beginning, method in self._rules():
            if line.startswith(beginning):
                method(line)
                return
        typed(self.release, HERE.get(line, line))

    def _rules(self) -> Iterator[tuple[str, Callable[[str], None]]]:
        yield "make deploy-kind", self.deploy
        yield "make undeploy-kind", self.undeploy
        yield "kubectl -n stalk get scaledobject", self.at_zero
        yield "curl http://127.0.0.1:30080/hello", self.submit
        yield "curl -N", self.follow
        yield "for i in", self.submit_many
        yield ".venv/bin/stalk status --namespace stalk --watch", self.watch
        yield ".venv/bin/stalk status", self.status
        yield "kubectl -n stalk get secret", self.password
        yield ".venv/bin/stalk doctor", self.doctor
        yield "ci/deploy/helm test", self.round_trip

    def deploy(self, line: str) -> None:
        """`make deploy-kind` runs `ci/deploy/chart` with the words in HELM."""
        (more,) = re.findall(r'HELM="(.*)"', line)
        words = ["--install", CHART, "--wait", "--values", self.values, *more.split()]
        self.release.helm("upgrade", *words)
        address = self.open.enter_context(self.release.forwarded("service/stalk-api", 80))
        self.url = f"http://{address}"

    def undeploy(self, _line: str) -> None:
        self.open.close()
        self.release.uninstall()

    def at_zero(self, line: str) -> None:
        until(lambda: self.release.replicas() == 0, PROMISED)
        assert "stalk-worker-default" in typed(self.release, line)

    def curl(self, line: str) -> str:
        return typed(self.release, line.replace("http://127.0.0.1:30080", self.url))

    def submit(self, line: str) -> None:
        self.task = json.loads(self.curl(line).splitlines()[-1])["process_id"]

    def follow(self, line: str) -> None:
        said = self.curl(line.replace("/ID/", f"/{self.task}/"))
        assert '"PENDING"' in said
        assert '"SUCCESS"' in said

    def submit_many(self, line: str) -> None:
        before = self.queued()
        self.curl(line)
        assert self.queued() > before  # the pool works on them already

    def queued(self) -> int:
        return sum(httpx.get(f"{self.url}/queues", timeout=10).json()["ready"].values())

    def watch(self, line: str) -> None:
        assert "default" in watched(self.release, line, lambda: self.release.replicas() > 1)

    def status(self, line: str) -> None:
        until(lambda: self.queued() == 0, 240)
        assert "default" in typed(self.release, line)

    def password(self, line: str) -> None:
        assert typed(self.release, line) == self.release.secret("flower-password")

    def doctor(self, line: str) -> None:
        until(lambda: self.release.replicas() == 0, PROMISED)
        typed(self.release, line)

    def round_trip(self, line: str) -> None:
        assert "Succeeded" in typed(self.release, line)


@pytest.fixture
def newcomer(new_release: Callable[..., Release], tmp_path: Path) -> Iterator[Newcomer]:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(merged(of_this_cluster(), SHORTER)), encoding="utf-8")
    found = Newcomer(new_release(), values)
    yield found
    found.open.close()


def test_the_page_from_first_to_last(newcomer: Newcomer) -> None:
    assert set(HERE) < set(LINES)
    assert all(any(line.startswith(beginning) for line in LINES) for beginning, _ in newcomer._rules())
    for line in LINES:
        newcomer.type(line)
    left = client.AppsV1Api().list_namespaced_deployment(newcomer.release.namespace).items
    assert left == []


def test_a_line_that_fails_is_seen(new_release: Callable[..., Release]) -> None:
    with pytest.raises(AssertionError, match="exit code 1"):
        typed(new_release(), "kubectl -n stalk get deployment no-such-deployment")
    with pytest.raises(subprocess.TimeoutExpired):
        typed(new_release(), "sleep 5", timeout=0.1)
