"""What NetworkPolicies let through: judged from the objects, as a plugin would."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from stalk.doctor.cluster import Json

__all__ = ["End", "Port", "closing"]

NAMES: dict[int, set[str | int]] = {
    53: {"dns", "dns-tcp", 5353},
    5671: {"amqp"},
    5672: {"amqp"},
    6379: {"redis"},
    15671: {"management"},
    15672: {"management"},
}
"""What else a rule may call a port: its name in the pod, or the pod's number of it, as OpenShift's DNS has another."""
NAMESPACE = "kubernetes.io/metadata.name"
"""Label that the API server gives each namespace; others are not read."""


@dataclass(frozen=True, slots=True)
class End:
    """Pods at one side of a way. What is None is not known, and then has whatever a rule asks for."""

    name: str
    namespace: str | None = None
    labels: Json | None = None


class Port(NamedTuple):
    """Where a connection arrives."""

    number: int
    protocol: str = "TCP"


def closing(
    policies: Iterable[Json], direction: Literal["Ingress", "Egress"], own: End, peer: End, port: Port
) -> list[Json]:
    """Return the policies that together close a way; none where one of them opens it, or there are none.

    Args:
        policies: of the namespace of `own`.
        direction: of the rules, seen from `own`.
        own: whom the policies may select.
        peer: who shall reach it, or be reached.
        port: of the side that is reached.
    """
    found = [each for each in policies if _applies(each, direction, own.labels or {})]
    return [] if any(_opens(each, direction, peer, port, own.namespace) for each in found) else found


def _applies(policy: Json, direction: str, labels: Json) -> bool:
    spec = policy["spec"]
    kinds = spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])
    return direction in kinds and _selects(spec.get("podSelector") or {}, labels)


def _opens(policy: Json, direction: str, peer: End, port: Port, namespace: str | None) -> bool:
    side = "from" if direction == "Ingress" else "to"
    return any(
        _port(rule.get("ports"), port)
        and (not rule.get(side) or any(_peer(each, peer, namespace) for each in rule[side]))
        for rule in policy["spec"].get(direction.lower()) or ()
    )


def _peer(rule: Json, end: End, namespace: str | None) -> bool:
    if "ipBlock" in rule:
        return True  # addresses of pods are not known here: the benefit of the doubt
    if "namespaceSelector" not in rule:
        inside = end.namespace == namespace
    else:
        inside = end.namespace is None or _selects_namespace(rule["namespaceSelector"] or {}, end.namespace)
    return inside and (end.labels is None or _selects(rule.get("podSelector") or {}, end.labels))


def _port(ports: list[Json] | None, port: Port) -> bool:
    if not ports:
        return True
    for each in ports:
        wanted: Any = each.get("port")
        if each.get("protocol", "TCP") != port.protocol:
            continue
        if wanted is None or wanted == port.number or wanted in NAMES.get(port.number, ()):
            return True
        if isinstance(wanted, int) and wanted <= port.number <= int(each.get("endPort") or wanted):
            return True
    return False


def _selects_namespace(selector: Json, namespace: str) -> bool:
    """Tell whether a selector takes a namespace of which only the name is known: other labels it may have."""
    known = {NAMESPACE: namespace}
    words = {key: value for key, value in (selector.get("matchLabels") or {}).items() if key == NAMESPACE}
    expressions = [each for each in selector.get("matchExpressions") or () if each["key"] == NAMESPACE]
    return _selects({"matchLabels": words, "matchExpressions": expressions}, known)


def _selects(selector: Json, labels: Json) -> bool:
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_matches(each, labels) for each in selector.get("matchExpressions") or ())


def _matches(expression: Json, labels: Json) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
    if operator == "In":
        return bool(labels.get(key) in values)
    if operator == "NotIn":
        return bool(labels.get(key) not in values)
    return bool((key in labels) == (operator == "Exists"))
