"""values.schema.json from the models: draft 7, which Helm 3 and Helm 4 both read."""

import json
from typing import Any

from chart.models import Values

__all__ = ["schema", "schema_text"]

Node = dict[str, Any]


def schema() -> Node:
    """Return the schema as a document."""
    document = Values.model_json_schema(ref_template="#/definitions/{model}")
    definitions = document.pop("$defs")
    nullable: dict[str, Node] = {}
    body = _simplified(document, nullable)
    definitions = {name: _simplified(node, nullable) for name, node in definitions.items()}
    for name in nullable:
        nullable[name] = {**definitions[name], "type": ["object", "null"]}
    used = definitions | {f"{name}OrNull": node for name, node in nullable.items()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart stalk",
        **{key: value for key, value in body.items() if key != "title"},
        "definitions": dict(sorted(_reachable(body, used).items())),
    }


def schema_text() -> str:
    """Return the file's text."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _simplified(node: Any, nullable: dict[str, Node]) -> Any:
    """Drop what only lengthens messages: titles, defaults, and `anyOf` where a list of types says the same."""
    if isinstance(node, list):
        return [_simplified(item, nullable) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if key != "default" and not _is_title(key, value)}
    options = node.get("anyOf", [])
    if len(options) == 2 and {"type": "null"} in options:
        other = next(option for option in options if option != {"type": "null"})
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        node = _or_null(other, nullable) | rest
    if "patternProperties" in node:
        node["additionalProperties"] = False
    if "properties" in node:
        properties = {key: _simplified(value, nullable) for key, value in node["properties"].items()}
        required = [key for key, value in properties.items() if not _takes_null(value)]
        rest = {key: _simplified(value, nullable) for key, value in node.items()}
        return rest | {"properties": properties} | ({"required": required} if required else {})
    return {key: _simplified(value, nullable) for key, value in node.items()}


def _takes_null(node: Node) -> bool:
    """Tell whether null, with which an overlay takes a key away, is a value too. Where not, the key is required."""
    if "$ref" in node:
        return str(node["$ref"]).endswith("OrNull")
    return "null" in node.get("type", []) or {"type": "null"} in node.get("anyOf", [])


def _is_title(key: str, value: Any) -> bool:
    return key == "title" and isinstance(value, str)


def _or_null(node: Node, nullable: dict[str, Node]) -> Node:
    """Return a schema that takes null too, without an `anyOf`."""
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/definitions/")
        nullable[name] = {}
        return {"$ref": f"#/definitions/{name}OrNull"}
    if "enum" in node:
        return {**node, "type": [node["type"], "null"], "enum": [*node["enum"], None]}
    if "anyOf" in node:
        return {"anyOf": [*node["anyOf"], {"type": "null"}]}
    return {**node, "type": [node["type"], "null"]}


def _reachable(body: Any, definitions: dict[str, Node]) -> dict[str, Node]:
    """Return the definitions that something refers to."""
    found: dict[str, Node] = {}
    todo = [body]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).removeprefix("#/definitions/")
            if name and name not in found:
                found[name] = definitions[name]
                todo.append(definitions[name])
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return found
