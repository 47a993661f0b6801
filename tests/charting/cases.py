"""The sets of values that every property is tested with: those of charts/stalk/ci, and the corners."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from charting.rendering import CHART, CI, Values

__all__ = ["CASES", "EVERYTHING", "EXTERNAL", "named_outside"]

PRESETS = sorted((CHART.parents[1] / "keda" / "presets").glob("*.yaml"))

EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "blue"},
    "global": {"imageRegistry": "mirror.example:5000", "imagePullSecrets": [{"name": "pull"}]},
    "extraEnv": {"STEPS": "3", "FROM_FIELD": {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}},
    "api": {
        "autoscaling": {"enabled": True},
        "ingress": {"enabled": True, "hosts": ["api.example.org"], "className": "nginx"},
        "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]},
    },
    "workers": {
        "default": {"autoscaling": {"mode": "keda", "cpuTrigger": True}, "metricsPort": 9100},
        "gpu": {"queues": ["gpu", "gpu-slow"], "concurrency": 4, "autoscaling": {"mode": "hpa"}, "metricsPort": 9100},
        "fixed": {"queues": ["fixed"], "pool": "threads", "autoscaling": {"mode": "none", "replicas": 2}},
    },
    "beat": {"enabled": True, "persistence": {"enabled": True}},
    "flower": {
        "urlPrefix": "/flower",
        "persistence": {"enabled": True},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["flower.example.org"]},
        "service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]},
    },
    "metrics": {"enabled": True, "labels": {"release": "prometheus"}},
}

EXTERNAL: dict[str, Any] = {
    "rabbitmq": {"enabled": False},
    "externalRabbitmq": {
        "host": "rabbitmq.example.org",
        "vhost": "a/b",
        "existingSecret": "my-rabbitmq",
        "usernameKey": "user",
        "tls": {"enabled": True, "caSecret": "my-ca"},
        "management": {
            "url": "https://rabbitmq.example.org:15671",
            "existingSecret": "my-monitor",
            "usernameKey": "user",
        },
    },
    "redis": {"enabled": False},
    "externalRedis": {"host": "redis.example.org", "existingSecret": "my-redis", "tls": {"enabled": True}},
    "workers": {"default": {"autoscaling": {"mode": "keda"}}},
}

_CORNERS: dict[str, Values] = {
    "defaults": {},
    "keda": {"workers": {"default": {"autoscaling": {"mode": "keda"}}}},
    "everything": EVERYTHING,
    "external": EXTERNAL,
    "external-passwords-in-values": {
        "rabbitmq": {"enabled": False},
        "externalRabbitmq": {
            "host": "mq",
            "username": "stalk",
            "password": "p@ss: #1",
            "management": {"url": "http://mq:15672", "username": "monitor", "password": "q'\""},
        },
        "redis": {"enabled": False},
        "externalRedis": {"host": "redis", "username": "stalk", "password": "{{ not a template }}"},
        "workers": {"default": {"autoscaling": {"mode": "keda"}}},
    },
    "no-persistence": {"rabbitmq": {"persistence": {"enabled": False}}, "redis": {"persistence": {"enabled": False}}},
    "existing-claims": {
        "rabbitmq": {"persistence": {"existingClaim": "my-claim"}},
        "redis": {"persistence": {"existingClaim": "my-other-claim"}},
        "flower": {"persistence": {"enabled": True, "existingClaim": "my-flower"}},
        "beat": {"enabled": True, "persistence": {"enabled": True, "existingClaim": "my-beat"}},
    },
    "existing-secrets": {
        "rabbitmq": {"auth": {"existingSecret": "my-rabbitmq"}},
        "redis": {"auth": {"existingSecret": "my-redis"}},
        "flower": {"auth": {"existingSecret": "my-flower"}},
    },
    "only-workers": {
        "api": {"enabled": False},
        "flower": {"enabled": False},
        "topology": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDefaults": {"pdb": {"enabled": False}, "serviceAccount": {"create": False}},
    },
    "long-names": {
        "fullnameOverride": "a-name-as-long-as-a-platform-that-makes-names-may-have"[:53],
        "workers": {
            "a-pool-with-a-long-name": {"queues": ["a"], "autoscaling": {"mode": "keda"}},
            "a-pool-with-a-long-name-too": {"queues": ["b"], "autoscaling": {"mode": "hpa"}},
        },
        "beat": {"enabled": True},
    },
}


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


CASES: dict[str, Values] = (
    _CORNERS
    | {f"ci/{path.stem}": _read(path) for path in CI}
    | {f"presets/{path.stem}": _read(path) for path in PRESETS}
)

_NAMES = {"existingSecret", "caSecret", "existingClaim"}
_REFERENCES = {"configMapKeyRef", "configMapRef", "imagePullSecrets", "secretKeyRef", "secretRef", "serviceAccount"}


def named_outside(values: Any) -> set[str]:
    """Return the names of objects that the user says exist already."""
    return set(_named(values))


def _named(values: Any, under: str = "") -> Iterator[str]:
    if isinstance(values, list):
        for value in values:
            yield from _named(value, under)
    elif isinstance(values, Mapping):
        for name, value in values.items():
            if name in _NAMES or (name == "name" and under in _REFERENCES):
                yield str(value)
            else:
                yield from _named(value, name)
