"""Renders the chart in process with Helm 4, each set of values once."""

import json
from collections.abc import Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import helm_python
import yaml

__all__ = [
    "CHART",
    "CI",
    "EXTRA",
    "NAMESPACE",
    "RELEASE",
    "Object",
    "Values",
    "defaults",
    "load",
    "merged",
    "refusal",
    "render",
    "render_all",
    "render_text",
]

CHART = Path(__file__).parents[2] / "charts" / "stalk"
CI = sorted((CHART / "ci").glob("*.yaml"))
RELEASE = "demo"
NAMESPACE = "shop"
EXTRA = "templates/extra-objects.yaml"

Object: TypeAlias = dict[str, Any]
Values: TypeAlias = Mapping[str, Any]


class StrictLoader(yaml.CSafeLoader):
    """A key that comes twice is an error, as it is for the API server's strict decoding."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"keys that come twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


def load(text: str) -> list[Object]:
    """Return the documents of a rendered file."""
    return [document for document in yaml.load_all(text, StrictLoader) if document]


@cache
def _chart(folder: Path) -> helm_python.Chart:
    return helm_python.Chart.load(folder)


def render_text(
    values: Values | None = None, *, chart: Path = CHART, release: str = RELEASE, **options: Any
) -> dict[str, str]:
    """Return the rendered files by their path in the chart, without the empty ones."""
    files = _chart(chart).render(dict(values or {}), name=release, namespace=NAMESPACE, **options)
    return {path.partition("/")[2]: text for path, text in files.items() if text.strip()}


@cache
def _rendered(values: str, chart: Path, release: str) -> dict[str, str]:
    return render_text(json.loads(values), chart=chart, release=release)


@cache
def _objects(values: str, chart: Path, release: str) -> str:
    files = _rendered(values, chart, release)
    ours = sorted(path for path in files if path.endswith(".yaml") and path != EXTRA)
    return json.dumps([document for path in ours for document in load(files[path])])


def render(values: Values | None = None, *, chart: Path = CHART, release: str = RELEASE) -> list[Object]:
    """Return the objects that the chart makes of values, without the user's own (`extraObjects`)."""
    found: list[Object] = json.loads(_objects(json.dumps(values or {}, sort_keys=True), chart, release))
    return found


def render_all(values: Values | None = None, *, release: str = RELEASE) -> str:
    """Return everything that is rendered, NOTES.txt included, as one text."""
    files = _rendered(json.dumps(values or {}, sort_keys=True), CHART, release)
    return "\n".join(f"# {path}\n{files[path]}" for path in sorted(files))


def refusal(values: Values) -> str:
    """Return why the chart refuses values, or nothing."""
    try:
        _rendered(json.dumps(values, sort_keys=True), CHART, RELEASE)
    except (helm_python.HelmRenderError, helm_python.HelmValuesError) as error:
        return error.detail
    return ""


@cache
def _default_text() -> str:
    return (CHART / "values.yaml").read_text(encoding="utf-8")


def defaults() -> dict[str, Any]:
    """Return the chart's values.yaml."""
    found: dict[str, Any] = yaml.load(_default_text(), StrictLoader)
    return found


def merged(*layers: Values) -> dict[str, Any]:
    """Merge values as Helm does: maps key by key, the rest replaced."""
    found: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
            found[key] = merged(found[key], value) if both else value
    return found
