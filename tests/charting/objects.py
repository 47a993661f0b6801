"""What tests ask of rendered objects: pods, containers, references, who may reach whom."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from charting.rendering import Object

__all__ = [
    "Pods",
    "Reference",
    "allowed",
    "component",
    "containers",
    "find",
    "key",
    "of_kind",
    "pods",
    "references",
    "selects",
]

Labels = Mapping[str, str]


def key(thing: Object) -> str:
    """Return kind/name."""
    return f"{thing['kind']}/{thing['metadata']['name']}"


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [thing for thing in objects if thing["kind"] in kinds]


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Return the one object of this kind and name."""
    (found,) = (thing for thing in of_kind(objects, kind) if thing["metadata"]["name"] == name)
    return found


def component(thing: Object) -> str:
    return str(thing["metadata"].get("labels", {}).get("app.kubernetes.io/component", ""))


class Pods(NamedTuple):
    """The pods that an object makes."""

    owner: Object
    labels: Labels
    annotations: Mapping[str, str]
    spec: dict[str, Any]

    def __str__(self) -> str:
        return key(self.owner)


def pods(objects: list[Object]) -> list[Pods]:
    """Return the pods of every workload."""
    found = []
    for thing in of_kind(objects, "Deployment", "StatefulSet", "Job", "Pod"):
        template = thing if thing["kind"] == "Pod" else thing["spec"]["template"]
        metadata = template["metadata"]
        found.append(Pods(thing, metadata["labels"], metadata.get("annotations", {}), template["spec"]))
    return found


def containers(pod: Pods) -> list[dict[str, Any]]:
    return [*pod.spec.get("initContainers", []), *pod.spec["containers"]]


def selects(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Tell whether a label selector matches; an empty one matches everything, as in Kubernetes."""
    selector = selector or {}
    if any(labels.get(name) != value for name, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_matches(expression, labels) for expression in selector.get("matchExpressions", []))


def _matches(expression: Mapping[str, Any], labels: Labels) -> bool:
    assert expression["operator"] == "In", "no other is used"
    return labels.get(expression["key"]) in expression["values"]


def allowed(objects: list[Object], source: Labels, target: Labels, port: int) -> bool:
    """Tell whether the NetworkPolicies let a pod of this namespace reach another on a port."""
    return _open(objects, "Egress", source, target, port) and _open(objects, "Ingress", target, source, port)


def _open(objects: list[Object], direction: str, own: Labels, other: Labels, port: int) -> bool:
    side, field = direction.lower(), "to" if direction == "Egress" else "from"
    policies = [
        policy["spec"]
        for policy in of_kind(objects, "NetworkPolicy")
        if selects(policy["spec"]["podSelector"], own) and direction in policy["spec"]["policyTypes"]
    ]
    if not policies:
        return True
    return any(
        _has_port(rule, port) and _has_peer(rule.get(field), other) for policy in policies for rule in policy[side]
    )


def _has_port(rule: Mapping[str, Any], port: int) -> bool:
    ports = rule.get("ports")
    return not ports or any(entry["port"] == port and entry["protocol"] == "TCP" for entry in ports)


def _has_peer(peers: list[Mapping[str, Any]] | None, labels: Labels) -> bool:
    if not peers:
        return True
    return any(
        "ipBlock" not in peer
        and selects(peer.get("podSelector"), labels)
        # Another namespace has other labels; `{}` is every namespace, also this one.
        and not peer.get("namespaceSelector")
        for peer in peers
    )


class Reference(NamedTuple):
    """A use of another object by its name, and by a key in it where there is one."""

    by: str
    kind: str
    name: str
    key: str | None = None
    optional: bool = False


def references(objects: list[Object]) -> Iterator[Reference]:
    """Yield every use of a named object of the same namespace."""
    for pod in pods(objects):
        yield from _of_pod(pod)
    for thing in objects:
        yield from _of_kind.get(thing["kind"], _none)(key(thing), thing.get("spec", thing))


def _none(_by: str, _spec: Object) -> Iterator[Reference]:
    return iter(())


def _of_hpa(by: str, spec: Object) -> Iterator[Reference]:
    yield Reference(by, spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])


def _of_scaled_object(by: str, spec: Object) -> Iterator[Reference]:
    yield from _of_hpa(by, spec)
    for trigger in spec["triggers"]:
        if "authenticationRef" in trigger:
            yield Reference(by, "TriggerAuthentication", trigger["authenticationRef"]["name"])


def _of_trigger_authentication(by: str, spec: Object) -> Iterator[Reference]:
    for target in spec["secretTargetRef"]:
        yield Reference(by, "Secret", target["name"], target["key"])


def _of_stateful_set(by: str, spec: Object) -> Iterator[Reference]:
    yield Reference(by, "Service", spec["serviceName"])


def _of_role_binding(by: str, binding: Object) -> Iterator[Reference]:
    for other in (binding["roleRef"], *binding["subjects"]):
        yield Reference(by, other["kind"], other["name"])


def _of_ingress(by: str, spec: Object) -> Iterator[Reference]:
    for rule in spec["rules"]:
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]
            yield Reference(by, "Service", service["name"], service["port"]["name"])


def _of_http_route(by: str, spec: Object) -> Iterator[Reference]:
    for rule in spec["rules"]:
        for target in rule["backendRefs"]:
            yield Reference(by, "Service", target["name"], str(target["port"]))


_of_kind: dict[str, Callable[[str, Object], Iterator[Reference]]] = {
    "HTTPRoute": _of_http_route,
    "HorizontalPodAutoscaler": _of_hpa,
    "Ingress": _of_ingress,
    "RoleBinding": _of_role_binding,
    "ScaledObject": _of_scaled_object,
    "StatefulSet": _of_stateful_set,
    "TriggerAuthentication": _of_trigger_authentication,
}


def _of_pod(pod: Pods) -> Iterator[Reference]:
    by = str(pod)
    yield Reference(by, "ServiceAccount", pod.spec["serviceAccountName"])
    for volume in pod.spec.get("volumes", []):
        if "configMap" in volume:
            yield Reference(by, "ConfigMap", volume["configMap"]["name"])
        if "secret" in volume:
            for item in volume["secret"].get("items", [{}]):
                yield Reference(by, "Secret", volume["secret"]["secretName"], item.get("key"))
        if "persistentVolumeClaim" in volume:
            yield Reference(by, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    for container in containers(pod):
        for entry in container.get("env", []):
            for source, target in entry.get("valueFrom", {}).items():
                if source in ("secretKeyRef", "configMapKeyRef"):
                    kind = "Secret" if source == "secretKeyRef" else "ConfigMap"
                    yield Reference(by, kind, target["name"], target["key"], target.get("optional", False))
        for source in container.get("envFrom", []):
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if field in source:
                    yield Reference(by, kind, source[field]["name"])
