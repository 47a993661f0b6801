"""YAML in documents: manifests are held against their schemas, everything else is values and is rendered."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from charting.rendering import CHART, Object, Values, load, refusal
from charting.schemas import problems as schema_problems
from snippets.blocks import Block, Page
from snippets.world import world

__all__ = ["VERSION", "problems", "values_blocks"]

VERSION = str(yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["version"])
"""Of the chart, and of the image that it runs."""
_KUBERNETES = "1.35"


def problems(block: Block) -> Iterator[str]:
    """Tell what schemas or the chart have against a block."""
    try:
        documents = load(block.text)
    except yaml.YAMLError as error:
        yield str(error)
        return
    if not documents:
        yield "an empty block"
    for document in documents:
        if not isinstance(document, dict):
            yield "YAML that is no map is neither a manifest nor values"
        elif "apiVersion" in document:
            yield from _manifest(document)
        elif "services" in document or "on" in document:
            yield "no rule for this kind of YAML: add one to tests/snippets/yaml_blocks.py"
        else:
            yield from _values(document)


def values_blocks(page: Page) -> list[Values]:
    """Return the values of a page, one for each block that has some."""
    found: list[Values] = []
    for block in page.blocks:
        if block.language == "yaml":
            found += [values for document in load(block.text) for values in _values_in(document)]
    return [values for values in found if not refusal(values)]


def _values_in(document: Any) -> Iterator[Values]:
    if isinstance(document, dict) and "apiVersion" not in document:
        yield document
    elif isinstance(document, dict):
        yield from (values for _, values in _carried(document))


def _values(values: Values) -> Iterator[str]:
    problem = refusal(values)
    if problem:
        yield problem


def _manifest(thing: Object) -> Iterator[str]:
    metadata = thing.get("metadata", {})
    if thing.get("kind") == "Namespace":
        metadata = {"namespace": ""} | metadata
    if "namespace" not in metadata:
        yield "a manifest without a namespace"
        return
    try:
        yield from schema_problems(thing, _KUBERNETES)
    except FileNotFoundError:
        yield f"no schema of {thing['apiVersion']}/{thing['kind']}: add its CRD's to tests/chart/data"
    for where, values in _carried(thing):
        for problem in _values(values):
            yield f"{where}: {problem}"
    yield from _named(thing)
    yield from _version(thing)


def _carried(thing: Object) -> Iterator[tuple[str, Values]]:
    """Yield the chart's values inside a manifest of a GitOps tool."""
    spec: Mapping[str, Any] = thing.get("spec", {})
    if thing["kind"] == "Application":
        for index, source in enumerate([spec["source"]] if "source" in spec else spec["sources"]):
            helm = source.get("helm", {})
            if "valuesObject" in helm:
                yield f"sources[{index}].helm.valuesObject", helm["valuesObject"]
    elif thing["kind"] == "HelmRelease":
        yield "spec.values", spec.get("values", {})


def _version(thing: Object) -> Iterator[str]:
    """A chart that a GitOps tool shall fetch is this one."""
    spec = thing.get("spec", {})
    found = spec["source"]["targetRevision"] if thing["kind"] == "Application" else None
    if thing["kind"] == "OCIRepository":
        found = spec["ref"]["tag"]
    if found not in {None, VERSION}:
        yield f"the chart's version is {VERSION}, not {found}"


def _named(thing: Object) -> Iterator[str]:
    """Look for the objects of the release that a manifest names."""
    if thing["kind"] == "Certificate":
        name = thing["metadata"]["name"]
        made = {service.name for service in world().of("Service")}
        for host in thing["spec"]["dnsNames"]:
            if host.partition(".")[0] not in made:
                yield f"the certificate {name} is for {host}, and the release has no such Service"
