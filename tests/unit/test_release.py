"""One version in every place, what Chart.yaml tells Artifact Hub of it, and which version came before."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from release.changelog import Change, sections
from release.previous import NoPreviousError, previous
from release.versions import ROOT, generate, notes, problems, version

FILES = ("CHANGELOG.md", "README.md", "charts/stalk/Chart.yaml", "charts/stalk/values.yaml", "src/stalk/__init__.py")
VERSION = version(ROOT)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that name the version."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def change(checkout: Path, name: str, pattern: str, new: str) -> None:
    text = (checkout / name).read_text(encoding="utf-8")
    changed, number = re.subn(pattern, new, text, count=1, flags=re.MULTILINE)
    assert number, f"{name} has no {pattern}"
    (checkout / name).write_text(changed, encoding="utf-8")


def test_versions_agree() -> None:
    assert list(problems(ROOT)) == []


HEADING = rf"^## \[{re.escape(VERSION)}\] - \S+$"
CHANGES = [
    ("charts/stalk/Chart.yaml", r"^version: .*", "version: 9.8.7", r"appVersion is .*, the chart's version is 9\.8\.7"),
    ("charts/stalk/Chart.yaml", r"^appVersion: .*", 'appVersion: "9.8.7"', "appVersion is 9.8.7"),
    ("charts/stalk/Chart.yaml", r"stalk:[\d.]+$", "stalk:9.8.7", "the annotations are stale"),
    ("charts/stalk/Chart.yaml", r"^icon: .*", "icon: https://example.org/icon.svg", "the annotations are stale"),
    ("charts/stalk/Chart.yaml", r"^# What follows is written .*\n", "", "the annotations are stale"),
    ("charts/stalk/values.yaml", r"tag: 4-management", "tag: 4.0.5-management", "the annotations are stale"),
    ("charts/stalk/values.yaml", r'tag: ""', 'tag: "9.8.7"', "image has a tag or digest of its own"),
    ("src/stalk/__init__.py", r"^__version__ = .*", '__version__ = "9.8.7"', "__version__ is 9.8.7"),
    ("CHANGELOG.md", HEADING, "## [9.8.7] - Unreleased", "the newest section is 9.8.7"),
    ("CHANGELOG.md", HEADING, "## [Unreleased]\n\n\\g<0>", "the newest section is Unreleased"),
    ("CHANGELOG.md", r"^- ", "- Another change.\n- ", "the annotations are stale"),
    ("README.md", r'(toolkit: .*tag: )"[^"]*"', r'\1"9.8.7"', "the toolkit image's tag is 9.8.7"),
]


@pytest.mark.parametrize(("name", "pattern", "new", "said"), CHANGES)
def test_a_place_that_disagrees_is_named(checkout: Path, name: str, pattern: str, new: str, said: str) -> None:
    assert list(problems(checkout)) == []
    change(checkout, name, pattern, new)
    assert any(re.search(said, problem) for problem in problems(checkout)), list(problems(checkout))


def test_generate_mends_the_annotations(checkout: Path) -> None:
    change(checkout, "CHANGELOG.md", r"^- ", "- Another change.\n- ")
    generate(checkout)
    assert list(problems(checkout)) == []
    generate(checkout)
    assert list(problems(checkout)) == []


def test_a_tag_needs_the_same_version_and_a_day(checkout: Path) -> None:
    change(checkout, "CHANGELOG.md", HEADING, f"## [{VERSION}] - Unreleased")
    assert any("write the day" in problem for problem in problems(checkout, f"v{VERSION}"))
    change(checkout, "CHANGELOG.md", HEADING, f"## [{VERSION}] - 2026-12-01")
    assert list(problems(checkout, f"v{VERSION}")) == []
    assert list(problems(checkout, "v9.8.7")) == [
        f"the tag is v9.8.7, the chart's version is {VERSION}: tag v{VERSION}"
    ]


def test_notes_are_this_versions(checkout: Path) -> None:
    change(checkout, "CHANGELOG.md", HEADING, "\\g<0>\n\n### Fixed\n\n- Only here.\n\n## [0.0.1] - 2020-01-01")
    assert notes(checkout) == "### Fixed\n\n- Only here."


def test_a_changelog_is_read_as_artifact_hub_wants_it() -> None:
    (newest, older) = sections(
        "# Changelog\n\n## [2.0.0] - Unreleased\n\n### Added\n\n"
        "- `make it` does\n  [more](docs/a.md). [docs/b.md](docs/b.md)\n"
        "- Second.\n\n### Security\n\n- Third.\n\n## [1.0.0] - 2020-01-01\n\n### Added\n\n- All.\n"
    )
    assert (newest.version, newest.is_released) == ("2.0.0", False)
    assert (older.version, older.is_released) == ("1.0.0", True)
    assert list(newest.changes()) == [
        Change("added", "make it does more.", (("more", "docs/a.md"), ("docs/b.md", "docs/b.md"))),
        Change("added", "Second.", ()),
        Change("security", "Third.", ()),
    ]
    with pytest.raises(ValueError, match="### New is none of added, "):
        list(sections("## [1.0.0] - Unreleased\n### New\n- It.\n")[0].changes())


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


Commit = Callable[[str], str]


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, Commit]:
    """A repository, and what commits a chart of a version to it."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    chart = tmp_path / "charts" / "stalk" / "Chart.yaml"
    chart.parent.mkdir(parents=True)

    def commit(number: str) -> str:
        chart.write_text(yaml.safe_dump({"version": number}))
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", number)
        return git(tmp_path, "rev-parse", "HEAD")

    return tmp_path, commit


def test_the_newest_tag_is_the_previous_version(repository: tuple[Path, Commit]) -> None:
    folder, commit = repository
    for number in ("0.9.0", "0.10.0", "0.11.0-rc.1"):
        commit(number)
        git(folder, "tag", f"v{number}")
    commit("0.11.0")
    assert previous(folder).version == "0.10.0"
    git(folder, "tag", "v0.11.0")
    assert previous(folder).version == "0.10.0", "a release is not its own predecessor"
    commit("0.11.0")
    assert previous(folder).version == "0.11.0"


def test_a_tag_of_another_branch_does_not_count(repository: tuple[Path, Commit]) -> None:
    folder, commit = repository
    commit("0.1.0")
    git(folder, "tag", "v0.1.0")
    git(folder, "checkout", "--quiet", "-b", "other")
    commit("0.3.0")
    git(folder, "tag", "v0.3.0")
    git(folder, "checkout", "--quiet", "main")
    commit("0.2.0")
    assert previous(folder).version == "0.1.0"


def test_without_tags_it_is_the_last_commit_of_another_version(repository: tuple[Path, Commit]) -> None:
    folder, commit = repository
    commit("0.1.0")
    last = commit("0.1.0")
    commit("0.2.0")
    commit("0.2.0")
    found = previous(folder)
    assert (found.version, found.commit) == ("0.1.0", last)
    tree = found.extract(folder.parent / f"{folder.name}-previous")
    assert yaml.safe_load((tree / "charts/stalk/Chart.yaml").read_text()) == {"version": "0.1.0"}


def test_a_version_that_is_not_committed_yet_has_head_before_it(repository: tuple[Path, Commit]) -> None:
    folder, commit = repository
    head = commit("0.1.0")
    (folder / "charts/stalk/Chart.yaml").write_text("version: 0.2.0\n")
    assert previous(folder).commit == head


def test_after_a_merge_it_is_what_main_was(repository: tuple[Path, Commit]) -> None:
    folder, commit = repository
    commit("0.1.0")
    git(folder, "checkout", "--quiet", "-b", "release")
    commit("0.2.0")
    git(folder, "checkout", "--quiet", "main")
    main = commit("0.1.0")
    git(folder, "merge", "--quiet", "--no-ff", "--message", "merge", "release")
    commit("0.2.0")
    assert previous(folder).commit == main


def test_no_version_before_is_an_error(repository: tuple[Path, Commit]) -> None:
    folder, commit = repository
    commit("0.1.0")
    commit("0.1.0")
    with pytest.raises(NoPreviousError, match=r"no tag v\*, and no commit .* another version than 0\.1\.0"):
        previous(folder)


def test_a_shallow_clone_says_what_to_type(repository: tuple[Path, Commit]) -> None:
    folder, commit = repository
    for number in ("0.1.0", "0.2.0", "0.2.0"):
        commit(number)
    shallow = folder.parent / f"{folder.name}-shallow"
    git(folder, "clone", "--quiet", "--depth", "1", f"file://{folder}", str(shallow))
    with pytest.raises(NoPreviousError, match="git fetch --unshallow"):
        previous(shallow)
