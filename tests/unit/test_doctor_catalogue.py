"""What `stalk doctor` can find is told in the documentation, and each of it is proven by a test."""

import re
from pathlib import Path

from stalk.doctor.catalogue import CATALOGUE, LINKS

ROOT = Path(__file__).parents[2]
TESTS = [path for path in (ROOT / "tests").rglob("test_doctor*.py") if path != Path(__file__)]


def test_each_finding_is_proven_by_a_test() -> None:
    text = "\n".join(path.read_text() for path in TESTS)
    unproven = {name for name in CATALOGUE if not re.search(rf'"{name}"', text)}
    assert unproven == set()


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
