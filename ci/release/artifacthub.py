"""What Chart.yaml tells Artifact Hub: https://artifacthub.io/docs/topics/annotations/helm/.

There is no `signKey`: releases are signed with cosign, keyless, which Artifact Hub finds in the registry by itself.
"""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from release.changelog import Section

__all__ = ["MARK", "SCREENSHOTS", "images", "with_annotations"]

MARK = "# What follows is written by `python ci/release generate` from CHANGELOG.md and values.yaml.\n"
SCREENSHOTS = {
    "page.png": "Tasks at work on the demo service's page",
    "flower-workers.png": "Flower: the workers",
    "flower-tasks.png": "Flower: the tasks",
    "grafana.png": "The Grafana dashboard",
}
"""Files that the release workflow makes with `make screenshots` and puts beside the chart, with their titles."""
PLATFORMS = ["linux/amd64", "linux/arm64"]
"""Of our image (ci/publish/image), and the official ones have both too."""
ICON = "docs/assets/icon.svg"
_KEDA = "https://artifacthub.io/packages/helm/kedacore/keda"


def images(values: Mapping[str, Any], version: str) -> dict[str, str]:
    """Return every image that the chart can render without being told another: name, and how a node pulls it."""
    found: dict[str, str] = {}
    for path, image in _image_maps(values, ()):
        name = f"{image['registry']}/{image['repository']}:{image['tag'] or version}"
        if name not in found.values():
            found[path[-2] if len(path) > 1 else "stalk"] = name
    return dict(sorted(found.items()))


def with_annotations(chart: str, values: Mapping[str, Any], section: Section) -> str:
    """Return Chart.yaml with icon and annotations as they are to be.

    Args:
        chart: its text; what comes after `MARK` is replaced.
        values: the chart's defaults.
        section: of the changelog, for this version.
    """
    head = chart.partition(MARK)[0]
    about = yaml.safe_load(head)
    home, version = about["home"], about["version"]
    changes = list(section.changes())

    def tagged(path: str) -> str:
        return path if "://" in path else f"{home}/blob/v{version}/{path}"

    plain = {
        "category": "integration-delivery",
        "license": "Apache-2.0",
        "operator": "false",
        "prerelease": str("-" in version).lower(),
        "containsSecurityUpdates": str(any(change.kind == "security" for change in changes)).lower(),
    }
    structured = {
        "recommendations": [{"url": _KEDA}],
        "links": [
            {"name": "support", "url": f"{home}/issues"},
            {"name": "Changelog", "url": tagged("CHANGELOG.md")},
            {"name": "Documentation", "url": f"{home}/tree/v{version}/docs"},
        ],
        "images": [
            {"name": name, "image": image, "platforms": list(PLATFORMS)}
            for name, image in images(values, version).items()
        ],
        "screenshots": [
            {"title": title, "url": f"{home}/releases/download/v{version}/{file}"}
            for file, title in SCREENSHOTS.items()
        ],
        "changes": [
            {"kind": change.kind, "description": change.description}
            | ({"links": [{"name": n, "url": tagged(target)} for n, target in change.links]} if change.links else {})
            for change in changes
        ],
    }
    raw = home.replace("https://github.com/", "https://raw.githubusercontent.com/")
    lines = [f"icon: {raw}/v{version}/{ICON}", "annotations:"]
    lines += [f"  artifacthub.io/{name}: {yaml.safe_dump(value).splitlines()[0]}" for name, value in plain.items()]
    lines += [f"  artifacthub.io/{name}: |\n{_indented(value)}" for name, value in structured.items()]
    return f"{head}{MARK}" + "\n".join(lines) + "\n"


def _indented(value: Any) -> str:
    return textwrap.indent(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110), "    ").rstrip()


def _image_maps(
    values: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            if "repository" in value:
                yield (*path, key), value
            else:
                yield from _image_maps(value, (*path, key))
