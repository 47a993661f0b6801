"""NetworkPolicies: does each component reach what it needs? Judged from the objects, as a plugin would."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from stalk.doctor.cluster import Cluster, Json, component, environment, name_of
from stalk.doctor.findings import Finding

__all__ = ["check"]


@dataclass(frozen=True, slots=True)
class _Way:
    source: str
    target: str
    variable: str
    """Of the source's environment: it says the port, by itself or in a URL."""
    default: int


WAYS = (
    _Way("api", "rabbitmq", "BROKER_PORT", 5672),
    _Way("api", "redis", "REDIS_PORT", 6379),
    _Way("worker", "rabbitmq", "BROKER_PORT", 5672),
    _Way("worker", "redis", "REDIS_PORT", 6379),
    _Way("flower", "rabbitmq", "BROKER_MANAGEMENT_URL", 15672),
)
NAMES = {5671: "amqp", 5672: "amqp", 6379: "redis", 15671: "management", 15672: "management"}


def check(cluster: Cluster) -> Iterator[Finding]:
    """Find a way between two components of the release that some NetworkPolicy closes and none opens."""
    labels = _labels(cluster)
    for way in WAYS:
        source, target = labels.get(way.source), labels.get(way.target)
        if source is None or target is None:
            continue
        port = _port_of(cluster, way)
        for direction, own, peer in (("Ingress", target, source), ("Egress", source, target)):
            closing = [each for each in cluster.policies if _applies(each, direction, own)]
            if closing and not any(_opens(each, direction, peer, port, cluster.namespace) for each in closing):
                names = ", ".join(sorted(map(name_of, closing)))
                yield Finding(
                    "network-policy",
                    f"{way.source} may not reach {way.target} on port {port}: {direction.lower()} rules of {names}",
                    f"{way.source if direction == 'Egress' else way.target}: {{networkPolicy: "
                    f"{{extra{direction}: [{{ports: [{{port: {port}}}]}}]}}}}   # values.yaml (workers: under "
                    "workerDefaults); or kubectl -n "
                    f"{cluster.namespace} describe networkpolicy {name_of(closing[0])}",
                )


def _port_of(cluster: Cluster, way: _Way) -> int:
    """Return the port that a component connects to: over TLS it is another one."""
    for each in cluster.deployments:
        value = environment(each).get(way.variable) if component(each) == way.source else None
        if isinstance(value, str) and value:
            return int(value) if value.isdecimal() else urlsplit(value).port or way.default
    return way.default


def _labels(cluster: Cluster) -> dict[str, Json]:
    """Return one set of pod labels for each component: of a Deployment's template, or of a pod that runs."""
    found: dict[str, Json] = {}
    templates = [each["spec"]["template"]["metadata"].get("labels") or {} for each in cluster.deployments]
    for labels in [*templates, *(each["metadata"].get("labels") or {} for each in cluster.pods)]:
        found.setdefault(str(labels.get("app.kubernetes.io/component", "")), labels)
    return found


def _applies(policy: Json, direction: str, labels: Json) -> bool:
    spec = policy["spec"]
    kinds = spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])
    return direction in kinds and _selects(spec.get("podSelector") or {}, labels)


def _opens(policy: Json, direction: str, peer: Json, port: int, namespace: str) -> bool:
    side = "from" if direction == "Ingress" else "to"
    return any(
        _port(rule.get("ports"), port)
        and (not rule.get(side) or any(_peer(each, peer, namespace) for each in rule[side]))
        for rule in policy["spec"].get(direction.lower()) or ()
    )


def _peer(rule: Json, labels: Json, namespace: str) -> bool:
    if "ipBlock" in rule:
        return True  # addresses of pods are not known here: the benefit of the doubt
    inside = "namespaceSelector" not in rule or _selects(
        rule["namespaceSelector"] or {}, {"kubernetes.io/metadata.name": namespace}
    )
    return inside and _selects(rule.get("podSelector") or {}, labels)


def _port(ports: list[Json] | None, port: int) -> bool:
    if not ports:
        return True
    for each in ports:
        wanted = each.get("port")
        if wanted is None or wanted in (port, NAMES.get(port)):
            return True
        if isinstance(wanted, int) and wanted <= port <= int(each.get("endPort") or wanted):
            return True
    return False


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
