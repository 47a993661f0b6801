"""Every key of values.yaml does something, is in the schema and in the README; any values render or are refused."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chart.check import problems as stale
from charting.cases import EVERYTHING, EXTERNAL
from charting.objects import key
from charting.rendering import CHART, Values, defaults, merged, refusal, render, render_all
from charting.strategies import values_of

Path = tuple[str, ...]


def leaves(values: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each key whose value is no map, or an empty one."""
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            yield from leaves(value, (*path, name))
    else:
        yield path, values


def at(path: Path, value: Any) -> dict[str, Any]:
    found: Any = value
    for name in reversed(path):
        found = {name: found}
    return dict(found)


LEAVES = dict(leaves(defaults()))

OFF: dict[str, Any] = {
    "api": {"enabled": False},
    "flower": {"enabled": False},
    "topology": {"enabled": False},
    "workers": {"default": None},
}
NO_RABBITMQ = {name: EXTERNAL[name] for name in ("rabbitmq", "externalRabbitmq")}
NO_REDIS = {name: EXTERNAL[name] for name in ("redis", "externalRedis")}
LOGIN = {"existingSecret": "", "usernameKey": "", "username": "me", "password": "secret"}
ROUTE = {"ingress": {"enabled": False}, "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]}}
INGRESS = {"ingress": {"enabled": True}, "httpRoute": {"enabled": False}}
METRICS = {"metrics": {"enabled": True}}
POOLS = {
    "keda": {"queues": ["a"], "autoscaling": {"mode": "keda"}, "metricsPort": 9100},
    "hpa": {"queues": ["b"], "autoscaling": {"mode": "hpa"}},
    "none": {"queues": ["c"], "autoscaling": {"mode": "none"}},
    "bare": {"queues": ["d"]},
}
ALONE = merged(OFF, NO_RABBITMQ, NO_REDIS)
# Each area's keys, with as little around it as shows what they do: that renders fastest.
AREAS: dict[str, dict[str, Any]] = {
    "api": merged(ALONE, {"api": EVERYTHING["api"]}, {"api": {"enabled": True}}),
    "beat": merged(ALONE, {"beat": EVERYTHING["beat"]}),
    "extraObjects": ALONE,
    "externalRabbitmq": merged(ALONE, {"workers": {"keda": POOLS["keda"]}}),
    "externalRedis": merged(ALONE, {"workers": {"hpa": POOLS["hpa"]}}),
    "flower": merged(ALONE, {"flower": EVERYTHING["flower"] | {"enabled": True}}, {"flower": INGRESS}),
    "metrics": merged(ALONE, METRICS, {"api": {"enabled": True}}),
    "networkPolicy": merged(OFF, METRICS),
    "podDefaults": merged(ALONE, {"workers": {"hpa": POOLS["hpa"]}}),
    "rabbitmq": merged(OFF, NO_REDIS, {"topology": {"enabled": True}}),
    "redis": merged(OFF, NO_RABBITMQ),
    "topology": merged(ALONE, {"topology": {"enabled": True}}),
    "workerDefaults": merged(ALONE, {"workers": {"hpa": {"queues": ["a"]}}}, METRICS),
    "workers": merged(ALONE, {"workers": {"default": {}}}),
}
REST = merged(OFF, NO_REDIS, {"api": {"enabled": True}, "workers": {"keda": POOLS["keda"]}})
# And what a key needs beside that.
BESIDE: dict[str, Values] = {
    "api.replicas": {"api": {"autoscaling": {"enabled": False}}},
    "api.httpRoute": {"api": ROUTE},
    "api.ingress.path": {"api": INGRESS},
    "api.service.nodePort": {"api": {"service": {"type": "NodePort"}}},
    "api.service.loadBalancerSourceRanges": {"api": {"service": {"type": "LoadBalancer"}}},
    "flower.httpRoute": {"flower": ROUTE},
    "flower.service.nodePort": {"flower": {"service": {"type": "NodePort", "loadBalancerSourceRanges": []}}},
    "externalRabbitmq.username": {"externalRabbitmq": LOGIN},
    "externalRabbitmq.password": {"externalRabbitmq": LOGIN},
    "externalRabbitmq.management.username": {"externalRabbitmq": {"management": LOGIN}},
    "externalRabbitmq.management.password": {"externalRabbitmq": {"management": LOGIN}},
    "externalRedis.username": {"externalRedis": LOGIN},
    "externalRedis.password": {"externalRedis": LOGIN},
    "externalRedis.tls.caKey": {"externalRedis": {"tls": {"caSecret": "ca"}}},
    "rabbitmq.tls": {"rabbitmq": {"tls": {"enabled": True, "existingSecret": "tls"}}},
    "redis.tls": {"redis": {"tls": {"enabled": True, "existingSecret": "tls"}}},
    "workerDefaults.autoscaling": {"workers": POOLS},
    "workerDefaults.softShutdownSeconds": {"workerDefaults": {"interruptible": True}},
    "workerDefaults.queues": {"workers": {"without": {"concurrency": 1}}},
}
OTHERS: dict[str, list[Any]] = {
    "accessModes": [["ReadWriteMany"]],
    "affinity": [{"nodeAffinity": {}}],
    "behavior": [{"scaleDown": {"stabilizationWindowSeconds": 1}}, "static"],
    "consumerTimeoutSeconds": [60],
    "cpu": ["77m"],
    "digest": ["sha256:" + "0" * 64],
    "diskFreeLimit": ["77MB"],
    "extraEgress": [[{}]],
    "extraEnv": [{"OTHER": "other"}],
    "extraEnvFrom": [[{"secretRef": {"name": "other"}}]],
    "extraIngress": [[{}]],
    "extraObjects": [[{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}]],
    "extraTriggers": [[{"type": "cron", "metadata": {"timezone": "UTC"}}]],
    "from": [[{"podSelector": {}}]],
    "imagePullSecrets": [[{"name": "other"}]],
    "interval": ["77s"],
    "kubeApiPorts": [[7777]],
    "logFormat": ["text"],
    "logLevel": ["DEBUG"],
    "maxSurge": [2],
    "maxUnavailable": [2],
    "memory": ["77Mi"],
    "metricsFrom": [[{"podSelector": {}}]],
    "minAvailable": [1],
    "mode": ["hpa"],
    "parentRefs": [[{"name": "other"}]],
    "pool": ["threads"],
    "probes": [{"liveness": {"exec": {"command": ["true"]}}}],
    "pullPolicy": ["Always"],
    "size": ["77Gi"],
    "tls": [[{"secretName": "other"}]],
    "tolerations": [[{"key": "other"}]],
    "topologySpreadConstraints": [[]],
    "type": ["NodePort", "Recreate"],
    "url": ["http://elsewhere.example.org:15672"],
    "urlPrefix": ["/other"],
    "vhost": ["other"],
}


def another(name: str, value: Any) -> Any:
    """Return another value that the schema allows: one of the table, or one made of the value itself."""
    known = [other for other in OTHERS.get(name, []) if other != value and (not value or type(other) is type(value))]
    made: dict[type, Any] = {
        bool: lambda: not value,
        dict: lambda: {"example.org/other": "other"},
        float: lambda: value / 2,
        int: lambda: value + 1,
        list: lambda: ["other"],
        str: lambda: f"{value}other",
        type(None): lambda: 31_000,
    }
    return known[0] if known else made[type(value)]()


def outcome(values: Values) -> str:
    """Return what is rendered, or why the templates refuse it: both come of the values."""
    problem = refusal(values)
    assert "schema" not in problem, problem
    return problem or render_all(values)


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_every_value_does_something(path: Path) -> None:
    dotted = ".".join(path)
    beside = [BESIDE[prefix] for prefix in BESIDE if f"{dotted}.".startswith(f"{prefix}.")]
    before = merged(AREAS.get(path[0], REST), *beside)
    current: Any = merged(defaults(), before)
    for name in path:
        current = current[name]
    other = another(path[-1], current)
    assert outcome(before) != outcome(merged(before, at(path, other))), f"{current!r} or {other!r}"


def properties(schema: Values, node: Values) -> Values:
    """Return the keys of a schema's object."""
    while "$ref" in node:
        node = schema["definitions"][node["$ref"].rpartition("/")[2]]
    found: Values = node.get("properties", {})
    return found


@cache
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("path", [path for path in LEAVES if path[0] != "workers"], ids=".".join)
def test_every_value_is_in_the_schema_and_the_readme(path: Path) -> None:
    node: Values = schema()
    keys: list[str] = []
    for name in path:
        node = properties(schema(), node).get(name, {})
        keys.append(name)
        if not properties(schema(), node):
            break
    assert node.get("description"), keys
    assert f"| `{'.'.join(keys)}" in (CHART / "README.md").read_text(encoding="utf-8")


# Extended resources have any name; `global` is shared with other charts.
OPEN = {"Global", "Resources"}


def test_objects_of_the_schema_know_all_their_keys() -> None:
    assert schema()["additionalProperties"] is False
    for name, node in schema()["definitions"].items():
        assert "properties" not in node or node["additionalProperties"] is False or name in OPEN, name


def test_nothing_generated_is_stale() -> None:
    assert list(stale()) == []


def is_clear(problem: str) -> bool:
    """Tell whether it is the schema's words, or those of `fail`: an error of the template language begins otherwise."""
    ours = r"execution error at \(\S+\): (values that cannot work:|[\w.-]+: \S)"
    return bool(re.match(rf"values don't meet the specifications|{ours}", problem))


KEYS = {path[:length] for path in LEAVES for length in range(1, len(path) + 1)}
OF_A_POOL = {("workers", "default", *path[1:]) for path in KEYS if path[0] == "workerDefaults"}


@pytest.mark.parametrize("path", sorted(KEYS | OF_A_POOL), ids=".".join)
def test_null_in_place_of_a_value(path: Path) -> None:
    problem = refusal(merged(AREAS.get(path[0], REST), at(path, None)))
    assert not problem or is_clear(problem), problem
    assert not problem or path[-1] in problem


@pytest.mark.parametrize(
    "values",
    [
        {"api": {"probes": {"startup": None}}},
        {"api": {"resources": None}},
        {"podDefaults": {"podSecurityContext": {"runAsUser": None}, "topologySpreadConstraints": None}},
        {"rabbitmq": {"resources": None}},
        {"redis": {"resources": {"limits": None}}},
        {"workerDefaults": {"strategy": {"rollingUpdate": None}, "autoscaling": {"behavior": None}}},
        {"workers": {"default": None}},
        {"workers": {"default": {"probes": {"startup": None}, "autoscaling": {"mode": "keda"}, "resources": None}}},
    ],
    ids=str,
)
def test_null_takes_a_default_away(values: Values) -> None:
    assert render(values) != render()


def test_the_example_of_the_repositorys_readme() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (CHART.parents[1] / "README.md").read_text(encoding="utf-8"), re.S)
    pools = [key(thing) for thing in render(yaml.safe_load(example)) if "stalk/pool" in thing["metadata"]["labels"]]
    assert {"Deployment/demo-stalk-worker-default", "Deployment/demo-stalk-worker-images"} < set(pools)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.deferred(lambda: values_of(schema())))
def test_any_values_render_or_are_refused_clearly(values: Values) -> None:
    problem = refusal(values)
    if problem:
        assert is_clear(problem)
    else:
        names = [key(thing) for thing in render(values)]
        assert len(names) == len(set(names))
