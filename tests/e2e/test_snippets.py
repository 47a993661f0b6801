"""Every line of kubectl's in the documents, on a release: what looks is run, what changes is asked of the server."""

import re
from collections.abc import Callable, Iterator

import pytest
import yaml

from e2e.harness import Release, of_this_cluster, until
from e2e.typed import typed
from snippets import kubectl
from snippets.blocks import pages
from snippets.rules import shell_text
from snippets.shell import commands
from snippets.world import world

pytestmark = pytest.mark.timeout(300)

NOT_HERE = {
    "servicemonitor": "the Prometheus Operator's definitions",
    "stalk-exporter": "metrics.enabled, which needs the same",
    "argocd": "Argo CD",
    "--from-file": "a file of the reader's",
    "shop.celery": "the app of that page, which tests/integration/test_own_app.py runs",
    "storage": "a class of volumes that can grow",
}
"""What a line asks for that a test cluster does not have."""
CHANGES = {"annotate", "create", "delete", "label", "patch", "scale"}
"""Verbs that a line is only tried with: --dry-run=server."""


def lines() -> Iterator[tuple[str, ...]]:
    """Yield each line once that is about a release with the chart's own pool."""
    found: set[tuple[str, ...]] = set()
    for page in pages().values():
        for block in page.blocks:
            if "kubectl" in block.text and block.language in {"", "sh"}:
                found |= {command.words for command in commands(shell_text(block)) if command.words[0] == "kubectl"}
    for words in sorted(found):
        if not list(kubectl.problems(words, world())) and not any(name in " ".join(words) for name in NOT_HERE):
            yield words


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release], tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Install as the README does it, and send a task with its `helm test`: a worker is there for the next minutes."""
    values = tmp_path_factory.mktemp("values") / "values.yaml"
    values.write_text(yaml.safe_dump(of_this_cluster()), encoding="utf-8")
    made = new_release()
    shells = "".join(block.text for block in pages()["README.md"].blocks if block.language == "")
    (install,) = re.findall(r"^helm install .*$", shells, re.M)
    (test,) = re.findall(r"^helm test .*$", shells, re.M)
    typed(made, f"{install} --values {values}")
    assert "Succeeded" in typed(made, test)
    return made


def test_there_are_many() -> None:
    assert len(list(lines())) > 30
    verbs = {kubectl.parsed(words).verb for words in lines()}
    assert verbs > {"describe", "exec", "get", "logs", "port-forward", "top"}


@pytest.mark.parametrize("words", list(lines()), ids=" ".join)
def test_line(release: Release, words: tuple[str, ...]) -> None:
    line = kubectl.parsed(words)
    mine = [*words]
    if line.namespace in {"", "stalk"} and "namespace" not in words:
        mine[1 : 3 if line.namespace else 1] = ["-n", release.namespace]
    if line.verb == "port-forward":
        target, port = line.words[0], int(line.words[1].rpartition(":")[2])
        with release.forwarded(target, port):
            return
    if line.verb in CHANGES:
        mine.append("--dry-run=server")
    if "--watch" in mine:
        mine.remove("--watch")
    if line.verb == "top":  # metrics-server takes a while to see a new pod
        until(lambda: release.run(*mine, check=False).startswith("NAME"))
    elif line.command[:2] == ["stalk", "doctor"]:  # 2, where a pod cannot look at everything: docs/doctor.md
        assert "0 findings" in release.run(*mine, check=False)
    else:
        release.run(*mine)
