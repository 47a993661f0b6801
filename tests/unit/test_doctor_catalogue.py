"""What `stalk doctor` can find is told in the documentation, and each of it is proven by a test."""

from pathlib import Path

import pytest

from kube.control_plane import missing
from stalk.doctor.catalogue import CATALOGUE, LINKS

ROOT = Path(__file__).parents[2]
PROOFS = [path for layer in ("e2e", "integration") for path in (ROOT / "tests" / layer).rglob("test_doctor*.py")]
"""Tests that look at real servers; what is made up in a unit test proves no finding."""


def test_each_finding_is_proven_on_real_servers() -> None:
    text = "\n".join(path.read_text() for path in PROOFS)
    unproven = sorted(name for name in CATALOGUE if f'"{name}"' not in text)
    assert unproven == [], "no test_doctor*.py of tests/e2e or tests/integration names these findings"


def test_a_proof_that_cannot_run_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = "not on PATH: etcd, kube-apiserver, kubectl, keda; "
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    assert str(missing("keda")).startswith(lacking), "elsewhere it is skipped, for this reason"
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=lacking):
        missing("keda")


def test_each_finding_is_made_somewhere() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "src" / "stalk" / "doctor").rglob("*.py"))
    made = {name for name in CATALOGUE if f'"{name}"' in code}
    # Made of a server's name and a kind of problem.
    made |= {
        f"{server}-{kind}" for server in ("broker", "redis") for kind in ("dns", "unreachable", "login", "vhost", "tls")
    }
    assert set(CATALOGUE) - made == set()


def test_the_page_says_every_finding() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert [name for name in CATALOGUE if f"`{name}`" not in page] == []
    assert [link for link in LINKS if f"## {link}" not in page] == []
