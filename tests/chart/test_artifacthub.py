"""What Chart.yaml tells Artifact Hub is what the chart does."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml

from charting.cases import CASES
from charting.objects import pods
from charting.rendering import CHART, render
from release.artifacthub import ICON, SCREENSHOTS
from release.changelog import KINDS, sections

ROOT = CHART.parents[1]
ABOUT = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
THEIRS = {"image", "imageRegistry", "sidecars", "initContainers"}
"""Keys whose images are the user's own choice."""


def annotation(name: str) -> Any:
    return yaml.safe_load(ABOUT["annotations"][f"artifacthub.io/{name}"])


def without_choices(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: without_choices(value) for key, value in values.items() if key not in THEIRS}
    return values


def rendered() -> Iterator[str]:
    for values in CASES.values():
        for pod in pods(render(without_choices(values))):
            yield from (each["image"] for each in [*pod.spec.get("initContainers", []), *pod.spec["containers"]])


def test_images_are_all_that_any_values_render() -> None:
    assert {image["image"] for image in annotation("images")} == set(rendered())
    names = [image["name"] for image in annotation("images")]
    assert len(set(names)) == len(names)


def test_our_image_has_the_platforms_that_it_is_built_for() -> None:
    built = re.search(r"--platform (\S+)", (ROOT / "ci/publish/image").read_text(encoding="utf-8"))
    (ours,) = (image for image in annotation("images") if image["name"] == "stalk")
    assert built
    assert ours["platforms"] == built[1].split(",")


def test_changes_are_the_newest_section_of_the_changelog() -> None:
    newest = sections((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))[0]
    changes = annotation("changes")
    assert len(changes) == newest.text.count("\n- ") + newest.text.startswith("- ")
    assert {change["kind"] for change in changes} <= set(KINDS)
    assert not [change for change in changes if re.search(r"[`\n]|\]\(", change["description"])]


def links(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        yield from (value for key, value in node.items() if key == "url")
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from links(each)


@pytest.mark.parametrize("name", ["links", "changes", "screenshots", "recommendations"])
def test_links_of_ours_are_of_this_version_and_lead_somewhere(name: str) -> None:
    found = list(links(annotation(name)))
    assert found
    for url in found:
        assert urlsplit(url).scheme == "https"
        path = re.fullmatch(rf"{re.escape(ABOUT['home'])}/(?:blob|tree)/([^/]+)/([^#]+)(?:#.*)?", url)
        if path:
            assert path[1] == f"v{ABOUT['version']}"
            assert (ROOT / path[2]).exists(), url


def test_screenshots_are_files_of_the_release() -> None:
    download = f"{ABOUT['home']}/releases/download/v{ABOUT['version']}/"
    assert [each["url"] for each in annotation("screenshots")] == [f"{download}{file}" for file in SCREENSHOTS]


def test_the_icon_is_in_the_repository_and_small() -> None:
    raw = ABOUT["home"].replace("github.com", "raw.githubusercontent.com")
    assert ABOUT["icon"] == f"{raw}/v{ABOUT['version']}/{ICON}"
    icon = Path(ROOT / ICON)
    assert ElementTree.parse(icon).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert icon.stat().st_size < 10_000


def test_flags_are_strings() -> None:
    flags = {name: ABOUT["annotations"][f"artifacthub.io/{name}"] for name in ("operator", "prerelease")}
    assert flags == {"operator": "false", "prerelease": str("-" in ABOUT["version"]).lower()}
    assert "artifacthub.io/signKey" not in ABOUT["annotations"], "keyless signatures have no key"
