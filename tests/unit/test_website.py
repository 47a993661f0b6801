"""The documentation's site: what is built, and that a link which leads nowhere fails."""

import shutil
from pathlib import Path

import pytest

from website.build import build
from website.stage import ROOT, pages, stage, unlisted


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give a copy of the repository's documents, to break; links to other files still find them."""
    copied = tmp_path / "copy"
    for source in pages():
        (copied / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, copied / source)
    for folder in (".", "docs", "charts", "charts/stalk"):
        for file in (ROOT / folder).iterdir():
            if not (copied / folder / file.name).exists():
                (copied / folder / file.name).symlink_to(file)
    return copied


def test_builds_strictly(tmp_path: Path) -> None:
    assert build(site=tmp_path) is None
    built = {str(file.relative_to(tmp_path).with_suffix(".md")) for file in tmp_path.rglob("*.html")}
    assert {place for place in pages().values() if place.endswith(".md")} < built


def test_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    assert build(site=tmp_path) is None
    for file in tmp_path.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert 'src="http' not in text, file
        assert "fonts.googleapis" not in text, file


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[x](no-such-page.md)", "no-such-page.md leads to nothing"),
        ("[x](../src/no_such_module.py)", "no_such_module.py leads to nothing"),
        ("[x](shutdown.md#no-such-heading)", "anchor"),
        ("[x](#no-such-heading)", "anchor"),
    ],
)
def test_a_link_that_leads_nowhere_fails(copy: Path, tmp_path: Path, line: str, says: str) -> None:
    with (copy / "docs" / "chaos.md").open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    problem = build(copy, tmp_path / "site")
    assert problem is not None
    assert says in problem
    assert not (tmp_path / "site").exists()


def test_a_page_that_the_navigation_lacks_fails(copy: Path, tmp_path: Path) -> None:
    (copy / "docs" / "new.md").write_text("# New\n", encoding="utf-8")
    assert unlisted(copy) == ["not in the navigation: new.md"]
    (copy / "docs" / "new.md").rename(copy / "docs" / "chaos.md")
    assert unlisted(copy) == []
    (copy / "docs" / "chaos.md").unlink()
    assert unlisted(copy) == ["no such page: chaos.md"]
    assert build(copy, tmp_path / "site")


def test_links_lead_to_pages_or_to_github(tmp_path: Path) -> None:
    stage(tmp_path)
    text = (tmp_path / "docs" / "chaos.md").read_text(encoding="utf-8")
    assert "[CONTRIBUTING](contributing.md)" in text
    assert "(https://github.com/stalk-celery/stalk/blob/main/src/app/worker/ledger.py)" in text
    runbook = (tmp_path / "docs" / "runbooks" / "StalkDeadLetters.md").read_text(encoding="utf-8")
    assert "(../dead-letters.md)" in runbook
