"""Is what is generated fresh, and does values.yaml say what the models say?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from chart.dashboard import dashboard_text
from chart.manifests import MANIFESTS, manifest
from chart.models import Values
from chart.paths import CHART, DASHBOARD, KEDA, README, ROOT, SCHEMA, VALUES, VALUES_PAGE
from chart.reference import page, with_reference
from chart.schema import schema_text

__all__ = ["generated", "problems"]


def generated() -> Iterator[tuple[Path, str]]:
    """Yield every generated file with its text. Write each before taking the next: the manifests need the schema."""
    yield SCHEMA, schema_text()
    yield DASHBOARD, dashboard_text()
    yield README, with_reference(README.read_text())
    yield VALUES_PAGE, page()
    for name in MANIFESTS:
        yield KEDA / name, manifest(name)


def problems() -> Iterator[str]:
    """Tell what is wrong, one line each."""
    yield from _invalid()
    yield from _differences()
    for path, text in generated():
        if not path.exists() or path.read_text() != text:
            yield f"{path.relative_to(ROOT)} is stale; run: python ci/chart generate"


def values_files() -> list[Path]:
    """Return every values file of the repository."""
    return [VALUES, *sorted((CHART / "ci").glob("*.yaml")), *sorted((KEDA / "presets").glob("*.yaml"))]


def _invalid() -> Iterator[str]:
    for path in values_files():
        try:
            Values.model_validate(yaml.safe_load(path.read_text()) or {})
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False):
                where = ".".join(str(part) for part in one["loc"])
                yield f"{path.relative_to(ROOT)}: {where}: {one['msg']}"


def _differences() -> Iterator[str]:
    """Compare each leaf of values.yaml with the models' default."""
    written = dict(_leaves(yaml.safe_load(VALUES.read_text()), ""))
    default = dict(_leaves(Values().model_dump(by_alias=True), ""))
    for key in sorted(written.keys() | default.keys()):
        if written.get(key) != default.get(key):
            yield f"values.yaml says {key}: {written.get(key)!r}, the models say {default.get(key)!r}"


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each value that is no map, with its path. Null and an empty map are as good as nothing."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif node is not None and node != {}:
        yield path, node
