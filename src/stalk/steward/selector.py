"""Which pods the steward looks after: a label selector, which the API server applies and the steward checks again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Selector"]

_NAME, _VALUE = r"[A-Za-z0-9][\w./-]*", r"[\w.-]+"
_TERM = re.compile(rf"(?P<name>{_NAME})(?:=(?P<one>{_VALUE})| in \((?P<any>{_VALUE}(?:, ?{_VALUE})*)\))")
_BETWEEN = re.compile(r",(?![^(]*\))")
"""A comma that is not in parentheses."""


@dataclass(frozen=True, slots=True)
class Selector:
    """The part of Kubernetes' selectors that says which values a label may have.
    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """

    text: str
    """As the API server takes it."""
    wanted: Mapping[str, frozenset[str]]
    """The values that each label may have."""

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read `NAME=VALUE` and `NAME in (VALUE,…)`, with commas between.

        Raises:
            ValueError: it says something else; what.
        """
        wanted: dict[str, frozenset[str]] = {}
        for part in _BETWEEN.split(text):
            term = _TERM.fullmatch(part.strip())
            if term is None:
                raise ValueError(f"{part!r} is not NAME=VALUE, nor NAME in (VALUE,…)")
            values = frozenset(re.split(", ?", term["any"]) if term["any"] else [term["one"]])
            wanted[term["name"]] = wanted.get(term["name"], values) & values
        return cls(text, wanted)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a pod with these labels is meant."""
        return all(labels.get(name) in values for name, values in self.wanted.items())
