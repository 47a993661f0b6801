"""Hypothesis strategies from values.schema.json, for the words of JSON Schema that it uses."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

__all__ = ["values_of"]

Node = dict[str, Any]
KNOWN = {
    *("$ref", "$schema", "additionalProperties", "anyOf", "const", "definitions", "description", "enum"),
    *("exclusiveMinimum", "items", "maxLength", "maximum", "minItems", "minLength", "minimum", "pattern"),
    *("patternProperties", "properties", "propertyNames", "required", "title", "type"),
}
PLAIN = st.characters(min_codepoint=33, max_codepoint=126)
MOST_KEYS = 4
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text("ab{}%\"'\n é:#", max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=2),
    max_leaves=4,
)


def values_of(schema: Node) -> st.SearchStrategy[Any]:
    """Return a strategy for values that a schema allows; of each object only a few keys, or all would be refused."""
    return _Reader(schema).strategy(schema)


class _Reader:
    def __init__(self, schema: Node) -> None:
        self.definitions: dict[str, Node] = schema.get("definitions", {})
        self.named: dict[str, st.SearchStrategy[Any]] = {}
        self.by_type: dict[str, Callable[[Node], st.SearchStrategy[Any]]] = {
            "array": self.array,
            "boolean": lambda _: st.booleans(),
            "integer": self.integer,
            "null": lambda _: st.none(),
            "number": self.number,
            "object": self.object,
            "string": self.string,
        }

    def strategy(self, node: Node) -> st.SearchStrategy[Any]:
        assert set(node) <= KNOWN, f"teach this file {set(node) - KNOWN}"
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            if name not in self.named:
                self.named[name] = self.strategy(self.definitions[name])
            return self.named[name]
        if "const" in node:
            return st.just(node["const"])
        if "enum" in node:
            return st.sampled_from(node["enum"])
        if "anyOf" in node:
            return st.one_of([self.strategy(option) for option in node["anyOf"]])
        if "type" not in node:
            return ANYTHING
        types = [node["type"]] if isinstance(node["type"], str) else node["type"]
        return st.one_of([self.by_type[name](node) for name in types])

    def object(self, node: Node) -> st.SearchStrategy[Any]:
        fields: dict[str, st.SearchStrategy[Any]] = {
            name: self.strategy(inner) for name, inner in node.get("properties", {}).items()
        }
        # What is required, the defaults have: an overlay says what it likes.
        some = st.sets(st.sampled_from(sorted(fields)), max_size=MOST_KEYS) if fields else st.just(set())
        known = some.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))
        return st.tuples(known, self.more(node)).map(lambda both: both[1] | both[0])

    def more(self, node: Node) -> st.SearchStrategy[dict[str, Any]]:
        """Return a strategy for the keys that the schema does not name."""
        for pattern, inner in node.get("patternProperties", {}).items():
            names = st.from_regex(pattern, fullmatch=True, alphabet=PLAIN)
            return st.dictionaries(names, self.strategy(inner), max_size=2)
        more = node.get("additionalProperties", True)
        if more is False:
            return st.just({})
        inner = ANYTHING if more is True else self.strategy(more)
        names = st.sampled_from(["a", "b.c/d", "E_F"])
        if "propertyNames" in node:
            names = self.strategy({"type": "string"} | node["propertyNames"])
        return st.dictionaries(names, inner, max_size=2)

    def array(self, node: Node) -> st.SearchStrategy[Any]:
        items = self.strategy(node.get("items", {}))
        return st.lists(items, min_size=node.get("minItems", 0), max_size=max(2, node.get("minItems", 0)))

    def string(self, node: Node) -> st.SearchStrategy[str]:
        shortest, longest = node.get("minLength", 0), node.get("maxLength", 40)
        if "pattern" not in node:
            return st.text("ab{}%\"'\n é:#\\", min_size=shortest, max_size=min(longest, 8))
        found = st.from_regex(node["pattern"], alphabet=PLAIN).filter(lambda text: "\n" not in text)
        return found.filter(lambda text: shortest <= len(text) <= longest)

    def integer(self, node: Node) -> st.SearchStrategy[int]:
        lowest = node.get("minimum", node.get("exclusiveMinimum", -1) + 1)
        return st.integers(lowest, node.get("maximum", lowest + 100_000))

    def number(self, node: Node) -> st.SearchStrategy[float]:
        lowest: Any = node.get("minimum", node.get("exclusiveMinimum", 0))
        highest: Any = node.get("maximum", lowest + 1000)
        return st.integers(1, 1000).map(lambda part: lowest + (highest - lowest) * part / 1000)
