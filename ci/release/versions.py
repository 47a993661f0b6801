"""One version in every place that names it; charts/stalk/Chart.yaml has it, the rest agrees."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from release.artifacthub import MARK, with_annotations
from release.changelog import Section, sections

__all__ = ["CHANGELOG", "CHART", "ROOT", "generate", "notes", "problems", "version"]

ROOT = Path(__file__).parents[2]
CHART = Path("charts/stalk/Chart.yaml")
CHANGELOG = Path("CHANGELOG.md")
# README.md shows how to name our image beside one's own.
_TOOLKIT = re.compile(r"toolkit: \{image: \{[^}]*tag: \"([^\"]*)\"")


def version(root: Path) -> str:
    """Return the version of a checkout: its chart's."""
    return str(yaml.safe_load((root / CHART).read_text(encoding="utf-8"))["version"])


def notes(root: Path) -> str:
    """Return what the changelog says of a checkout's version, as Markdown."""
    return _newest(root).text


def generate(root: Path) -> None:
    """Write the generated part of Chart.yaml."""
    (root / CHART).write_text(_annotated(root), encoding="utf-8")


def problems(root: Path, tag: str = "") -> Iterator[str]:
    """Tell what disagrees, one line each.

    Args:
        root: a checkout.
        tag: of git; when given, the release of this tag must be possible as well.
    """
    ours = version(root)
    for where, found in _places(root):
        if found != ours:
            yield f"{where} is {found or 'missing'}, the chart's version is {ours}"
    values = _values(root)
    for name, image in (("image", values["image"]), ("toolkit.image", values["toolkit"]["image"])):
        if image["tag"] or image["digest"]:
            yield f"values.yaml: {name} has a tag or digest of its own; without, it is the chart's appVersion"
    text = (root / CHART).read_text(encoding="utf-8")
    if MARK not in text or text != _annotated(root):
        yield f"{CHART}: the annotations are stale; run: python ci/release generate"
    if tag and tag != f"v{ours}":
        yield f"the tag is {tag}, the chart's version is {ours}: tag v{ours}"
    if tag and not _newest(root).is_released:
        yield f"{CHANGELOG}: {ours} is {_newest(root).date or 'without a day'}; write the day of the release there"


def _places(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each other place that names the version, and what it says."""
    chart = yaml.safe_load((root / CHART).read_text(encoding="utf-8"))
    yield f"{CHART}: appVersion", str(chart["appVersion"])
    package = (root / "src" / "stalk" / "__init__.py").read_text(encoding="utf-8")
    yield "src/stalk/__init__.py: __version__", _first(r"^__version__ = \"(.*)\"$", package)
    yield f"{CHANGELOG}: the newest section", _newest(root).version
    for tag in _TOOLKIT.findall((root / "README.md").read_text(encoding="utf-8")):
        yield "README.md: the toolkit image's tag", tag


def _newest(root: Path) -> Section:
    return next(iter(sections((root / CHANGELOG).read_text(encoding="utf-8"))), Section("", "", ""))


def _annotated(root: Path) -> str:
    return with_annotations((root / CHART).read_text(encoding="utf-8"), _values(root), _newest(root))


def _values(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((root / CHART.parent / "values.yaml").read_text(encoding="utf-8"))
    return found


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else ""
