"""Strict schemas of Kubernetes, KEDA, the Gateway API and the Prometheus Operator."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from kubernetes_validate.utils import schema_contents  # type: ignore[import-untyped]
from referencing import Registry, Resource

from charting.rendering import Object

__all__ = ["problems"]

DATA = Path(__file__).parents[1] / "chart" / "data"


@cache
def _registry(version: str) -> Registry[Any]:
    definitions = schema_contents(f"{_folder(version)}/_definitions.json", version)
    return Resource.from_contents(definitions) @ Registry()


def _folder(version: str) -> str:
    return f"kubernetes-json-schema/v{version}.0-local-strict"


@cache
def _kubernetes(version: str, api_version: str, kind: str) -> Draft202012Validator:
    # `kubernetes_validate.validate` reads all definitions again for each object, which takes a tenth of a second.
    group, _, level = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.partition(".")[0], level)))
    schema = schema_contents(f"{_folder(version)}/{name}.json", version)
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _registry(version))


@cache
def _custom() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in DATA.glob("*.json"):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return found


@cache
def _validator(version: str, api_version: str, kind: str) -> Draft202012Validator:
    custom = _custom().get(f"{api_version}/{kind}")
    if custom is None:
        return _kubernetes(version, api_version, kind)
    metadata = {"type": "object", "required": ["name", "namespace"]}
    words = {"apiVersion": {"const": api_version}, "kind": {"const": kind}}
    return Draft202012Validator(
        {
            "type": "object",
            "properties": words | {"metadata": metadata, "spec": custom},
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "additionalProperties": False,
        }
    )


@cache
def _problems(version: str, thing: str) -> list[str]:
    read = json.loads(thing)
    validator = _validator(version, read["apiVersion"], read["kind"])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(read)]


def problems(thing: Object, version: str) -> list[str]:
    """Return what an object's schema has against it, in a version of Kubernetes such as 1.35."""
    return _problems(version, json.dumps(thing, sort_keys=True))
