"""What there is in a namespace where a release `stalk` of the chart runs: what the chart makes, and what that makes."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

from charting.objects import of_kind, pods
from charting.rendering import Object, Values, merged, render

__all__ = ["ALIASES", "RELEASE", "Thing", "World", "world"]

RELEASE = "stalk"
_KEDA: Values = {"workerDefaults": {"autoscaling": {"mode": "keda"}}}
_ALWAYS: tuple[Values, ...] = (
    {},
    {"workerDefaults": {"autoscaling": {"mode": "hpa"}}},
    {"metrics": {"enabled": True}, "beat": {"enabled": True}},
)
ALIASES = {
    "cm": "ConfigMap",
    "configmap": "ConfigMap",
    "cronjob": "CronJob",
    "deploy": "Deployment",
    "deployment": "Deployment",
    "event": "Event",
    "hpa": "HorizontalPodAutoscaler",
    "ingress": "Ingress",
    "job": "Job",
    "networkpolicy": "NetworkPolicy",
    "node": "Node",
    "ns": "Namespace",
    "namespace": "Namespace",
    "pdb": "PodDisruptionBudget",
    "po": "Pod",
    "pod": "Pod",
    "pvc": "PersistentVolumeClaim",
    "scaledobject": "ScaledObject",
    "secret": "Secret",
    "service": "Service",
    "servicemonitor": "ServiceMonitor",
    "statefulset": "StatefulSet",
    "svc": "Service",
    "triggerauthentication": "TriggerAuthentication",
}
"""What kubectl calls the kinds, in the singular."""


@dataclass(frozen=True)
class Thing:
    """An object in the namespace.

    Args:
        kind: such as Deployment.
        name: empty where nobody can know it, as that of a Deployment's pod.
        labels: its own.
        spec: its pods' where it makes some; else its own.
        keys: of a Secret.
    """

    kind: str
    name: str
    labels: dict[str, str]
    spec: dict[str, Any] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class World:
    """All that there may be."""

    things: tuple[Thing, ...]

    def of(self, kind: str) -> list[Thing]:
        return [thing for thing in self.things if thing.kind == kind]

    def find(self, kind: str, name: str) -> list[Thing]:
        """Return what has this kind and name: nothing where there is none, several where values make it differ."""
        return [thing for thing in self.of(kind) if thing.name == name]


def world(values: Iterable[Values] = ()) -> World:
    """Return what a release has with the chart's defaults, or with one of these values on top of them."""
    return _world(tuple(json.dumps(each, sort_keys=True) for each in values))


@cache
def _world(values: tuple[str, ...]) -> World:
    found: list[Thing] = []
    for each in (*_ALWAYS, *map(json.loads, values)):
        found += _things(render(merged(_KEDA, each), release=RELEASE))
    return World(tuple(found))


def _things(objects: list[Object]) -> Iterator[Thing]:
    for thing in objects:
        metadata, spec = thing["metadata"], thing.get("spec", {})
        inner = spec.get("template", {}).get("spec", spec) if isinstance(spec, dict) else {}
        keys = frozenset(thing.get("data", {}) | thing.get("stringData", {}))
        yield Thing(thing["kind"], metadata["name"], metadata.get("labels", {}), inner, keys)
    for pod in pods(objects):
        owner = pod.owner
        if owner["kind"] == "Pod":
            continue
        for number in range(owner["spec"].get("replicas", 1) if owner["kind"] == "StatefulSet" else 1):
            named = owner["kind"] == "StatefulSet"
            yield Thing("Pod", f"{owner['metadata']['name']}-{number}" if named else "", dict(pod.labels), pod.spec)
            for claim in owner["spec"].get("volumeClaimTemplates", []):
                name = f"{claim['metadata']['name']}-{owner['metadata']['name']}-{number}"
                yield Thing("PersistentVolumeClaim", name, dict(pod.labels))
    for scaled in of_kind(objects, "ScaledObject"):  # KEDA makes an HPA of each, with the same labels
        yield Thing("HorizontalPodAutoscaler", f"keda-hpa-{scaled['metadata']['name']}", scaled["metadata"]["labels"])
    for job in of_kind(objects, "Job"):
        words = job["spec"]["template"]["spec"]["containers"][0]["command"]
        if words[:2] == ["stalk", "credentials"]:
            given = list(pairwise(words))
            labels = dict(after.split("=", 1) for word, after in given if word == "--label")
            made = {after.partition("=")[0] for word, after in given if word in ("--key", "--literal")}
            yield Thing("Secret", words[words.index("--secret") + 1], labels, keys=frozenset(made))
