"""How an extra is installed: the line that messages print and documents show."""

import json
import re
import shlex
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from stalk import __version__, extras
from stalk.extras import install, wheel

ROOT = Path(__file__).parents[2]


def requirement(line: str) -> Requirement:
    program, command, wanted = shlex.split(line)
    assert (program, command) == ("pip", "install")
    return Requirement(wanted)


def installed(monkeypatch: pytest.MonkeyPatch, recorded: Any) -> None:
    """Let the package have been installed from there."""
    text = None if recorded is None else json.dumps(recorded)
    monkeypatch.setattr(extras, "distribution", lambda _name: SimpleNamespace(read_text=lambda _file: text))


def test_the_wheel_is_a_file_of_the_release() -> None:
    chart = yaml.safe_load((ROOT / "charts" / "stalk" / "Chart.yaml").read_text(encoding="utf-8"))
    folder, _, name = wheel().rpartition("/")
    assert folder == f"{chart['home']}/releases/download/v{chart['version']}"
    package, version, *_ = parse_wheel_filename(name)
    assert (package, str(version)) == ("stalk-celery", __version__)


def test_from_the_checkout_that_it_came_from() -> None:
    assert install("doctor") == f"pip install {shlex.quote(f'{ROOT}[doctor]')}"


def test_a_checkout_whose_name_needs_quoting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "my stalk's"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    installed(monkeypatch, {"url": folder.as_uri(), "dir_info": {}})
    assert shlex.split(install("plan", "plot"))[-1] == f"{folder}[plan,plot]"


@pytest.mark.parametrize(
    "recorded",
    [
        None,
        {"url": "https://example.org/stalk_celery-0.1.0-py3-none-any.whl", "archive_info": {}},
        {"url": "file:///no/such/folder", "dir_info": {"editable": True}},
    ],
    ids=["from an index", "from a wheel", "from a checkout that has gone"],
)
def test_from_the_release(monkeypatch: pytest.MonkeyPatch, recorded: Any) -> None:
    installed(monkeypatch, recorded)
    found = requirement(install("doctor", "plot"))
    assert (found.name, found.extras, found.url) == ("stalk-celery", {"doctor", "plot"}, wheel())


def test_when_it_is_not_installed_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", missing)
    assert requirement(install("plan")).url == wheel()


def test_the_page_has_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(project["optional-dependencies"])


def test_messages_print_this_line() -> None:
    """And none of their own, which would lead nowhere."""
    for file in (ROOT / "src").rglob("*.py"):
        assert file.name == "extras.py" or "pip install" not in file.read_text(encoding="utf-8"), file
