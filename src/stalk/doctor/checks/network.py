"""NetworkPolicies: does each component reach what it needs? Judged from the objects, as a plugin would."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from stalk.doctor.cluster import Cluster, Json, component, environment, name_of
from stalk.doctor.findings import Finding
from stalk.doctor.paste import values, values_of
from stalk.doctor.policies import End, Port, closing

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
SOURCES = ("api", "worker", "flower")
MANAGEMENT, MANAGEMENT_TLS, DNS = 15672, 15671, 53
ANYWHERE = End("the cluster's DNS")
"""Which pods answer, in which namespace or on the node itself, is each cluster's own."""
IDENTITY = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component", "stalk/pool")
"""Labels by which the chart selects pods."""


def check(cluster: Cluster) -> Iterator[Finding]:
    """Find a way of the release, or of KEDA to its queues, that some NetworkPolicy closes and none opens."""
    told = set()
    for finding in _all(cluster):
        if finding.evidence not in told:  # pods of one component may differ in labels that no policy looks at
            told.add(finding.evidence)
            yield finding


def _all(cluster: Cluster) -> Iterator[Finding]:
    ends = _ends(cluster)
    for way in WAYS:
        for source in ends.get(way.source, ()):
            port = _port_of(cluster, way, source)
            for target in ends.get(way.target, ()):
                yield from _in(cluster, source, target, port)
                yield from _out(cluster, source, target, port)
    for name in SOURCES:
        for source in ends.get(name, ()):
            yield from _dns(cluster, source)
    if any(_reads_queues(each) for each in cluster.scaled_objects or ()):
        for operator in _operators(cluster):
            for target in ends.get("rabbitmq", ()):
                yield from _in(cluster, operator, target, _management(cluster))


def _in(cluster: Cluster, source: End, target: End, port: int) -> Iterator[Finding]:
    closed = closing(cluster.policies, "Ingress", target, source, Port(port))
    if closed:
        rule = {"from": [_peer_of(source)], "ports": [{"port": port}]}
        cure = values_of(target.labels or {}, {"networkPolicy": {"extraIngress": [rule]}})
        if source.namespace != target.namespace:  # KEDA's, which the chart lets in by name
            cure = values({"keda": {"namespace": source.namespace or "keda"}})
        yield _finding(cluster, f"{source.name} may not reach {target.name} on port {port}: ingress", closed, cure)


def _out(cluster: Cluster, source: End, target: End, port: int) -> Iterator[Finding]:
    closed = closing(cluster.policies, "Egress", source, target, Port(port))
    if closed:
        rule = {"to": [_peer_of(target)], "ports": [{"port": port}]}
        cure = values_of(source.labels or {}, {"networkPolicy": {"extraEgress": [rule]}})
        yield _finding(cluster, f"{source.name} may not reach {target.name} on port {port}: egress", closed, cure)


def _dns(cluster: Cluster, source: End) -> Iterator[Finding]:
    """Find a source that cannot look names up: over UDP, and over TCP for answers that are long."""
    closed = {each: closing(cluster.policies, "Egress", source, ANYWHERE, Port(DNS, each)) for each in ("UDP", "TCP")}
    protocols = [each for each, policies in closed.items() if policies]
    if protocols:
        rule = {"ports": [{"port": DNS, "protocol": each} for each in protocols]}  # to anybody, as the chart's own
        cure = values_of(source.labels or {}, {"networkPolicy": {"extraEgress": [rule]}})
        what = f"{source.name} may not reach {ANYWHERE.name} on port {DNS} ({' and '.join(protocols)}): egress"
        yield _finding(cluster, what, closed[protocols[0]], cure)


def _finding(cluster: Cluster, what: str, closed: list[Json], cure: str) -> Finding:
    look = cluster.place.kubectl("describe", "networkpolicy", name_of(closed[0]))
    return Finding(
        "network-policy",
        f"{what} rules of {', '.join(sorted(map(name_of, closed)))}",
        f"{cure}   # values.yaml; or {look}",
    )


def _peer_of(end: End) -> Json:
    labels = end.labels or {}
    return {"podSelector": {"matchLabels": {key: labels[key] for key in IDENTITY if key in labels}}}


def _port_of(cluster: Cluster, way: _Way, source: End) -> int:
    """Return the port that a component connects to: over TLS it is another one."""
    for each in cluster.deployments:
        own = _name(each["spec"]["template"]["metadata"].get("labels") or {}) == source.name
        value = environment(each).get(way.variable) if own else None
        if isinstance(value, str) and value:
            return int(value) if value.isdecimal() else urlsplit(value).port or way.default
    return way.default


def _management(cluster: Cluster) -> int:
    """Return the port of the bundled broker's management API, where KEDA reads."""
    found = [environment(each) for each in cluster.deployments]
    urls = [urlsplit(url) for each in found if isinstance(url := each.get("BROKER_MANAGEMENT_URL"), str)]
    tls = any(each.get("BROKER_TLS") == "true" for each in found)
    return next((url.port for url in urls if url.port), MANAGEMENT_TLS if tls else MANAGEMENT)


def _reads_queues(scaled_object: Json) -> bool:
    triggers = scaled_object["spec"].get("triggers") or ()
    return any(each.get("type") == "rabbitmq" and each["metadata"].get("protocol") == "http" for each in triggers)


def _operators(cluster: Cluster) -> list[End]:
    """Return KEDA's operators; where they may not be listed, one of which only the kind is known."""
    if cluster.operators is None:
        return [End("KEDA")]
    return [
        End(
            f"KEDA of namespace {each['metadata']['namespace']}",
            each["metadata"]["namespace"],
            each["spec"]["template"]["metadata"].get("labels") or {},
        )
        for each in cluster.operators
    ]


def _ends(cluster: Cluster) -> dict[str, list[End]]:
    """Return each set of pod labels by component: of a Deployment's template, and of pods that run."""
    found: dict[str, list[End]] = {}
    templates = [each["spec"]["template"]["metadata"].get("labels") or {} for each in cluster.deployments]
    for labels in [*templates, *(each["metadata"].get("labels") or {} for each in cluster.pods)]:
        end = End(_name(labels), cluster.namespace, labels)
        found.setdefault(component({"metadata": {"labels": labels}}), []).append(end)
    return found


def _name(labels: Json) -> str:
    return " ".join(str(labels[key]) for key in ("app.kubernetes.io/component", "stalk/pool") if labels.get(key))
