"""Who may reach whom: what the system needs, and not much else."""

import pytest

from charting.cases import EVERYTHING, EXTERNAL
from charting.objects import allowed, component, of_kind, pods
from charting.rendering import Object, Values, merged, render

NEEDED = {
    ("api", "rabbitmq", 5672),
    ("api", "redis", 6379),
    ("beat", "rabbitmq", 5672),
    ("beat", "redis", 6379),
    ("doctor", "api", 8000),
    ("doctor", "rabbitmq", 5672),
    ("doctor", "rabbitmq", 15672),
    ("doctor", "redis", 6379),
    ("exporter", "rabbitmq", 5672),
    ("exporter", "redis", 6379),
    ("flower", "rabbitmq", 5672),
    ("flower", "rabbitmq", 15672),
    ("flower", "redis", 6379),
    ("steward", "rabbitmq", 5672),
    ("test", "api", 8000),
    ("topology", "rabbitmq", 5672),
    ("worker", "rabbitmq", 5672),
    ("worker", "redis", 6379),
}
TLS = {
    "rabbitmq": {"tls": {"enabled": True, "existingSecret": "a"}},
    "redis": {"tls": {"enabled": True, "existingSecret": "b"}},
}
OVER_TLS = {5672: 5671, 15672: 15671}
PORTS = {
    "api": [8000],
    "exporter": [9808],
    "flower": [5555],
    "rabbitmq": [5671, 5672, 15671, 15672, 15692, 25672, 4369],
    "redis": [6379],
}
OPEN = {("api", 8000), ("flower", 5555)}
"""Open to everybody unless `networkPolicy.from` says to whom."""


@pytest.mark.parametrize(
    "values",
    [{"beat": {"enabled": True}, "metrics": {"enabled": True}}, EVERYTHING, merged(EVERYTHING, TLS)],
    ids=["defaults", "everything", "tls"],
)
def test_the_pods_reach_what_they_need_and_no_more(values: Values) -> None:
    objects = render(values)
    found = set()
    for source in pods(objects):
        for target in pods(objects):
            for port in PORTS.get(component(target.owner), []):
                if allowed(objects, source.labels, target.labels, port):
                    found.add((component(source.owner), component(target.owner), port))
    ports = OVER_TLS if "rabbitmq" in values else {}
    assert found == {(source, target, ports.get(port, port)) for source, target, port in NEEDED}


def policy(objects: list[Object], name: str) -> Object:
    (found,) = (thing for thing in of_kind(objects, "NetworkPolicy") if component(thing) == name)
    spec: Object = found["spec"]
    return spec


@pytest.mark.parametrize("name", ["api", "flower"])
def test_pages_are_open_until_peers_are_named(name: str) -> None:
    port = dict(OPEN)[name]
    (rule,) = policy(render(), name)["ingress"]
    assert rule == {"ports": [{"protocol": "TCP", "port": port}]}
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
    rules = policy(render({name: {"networkPolicy": {"from": [peer]}}}), name)["ingress"]
    assert rules[0]["from"] == [peer]
    assert all(rule["from"] for rule in rules)


def test_keda_reads_the_management_port_from_its_namespace() -> None:
    rules = policy(render({"keda": {"namespace": "autoscaling"}}), "rabbitmq")["ingress"]
    (rule,) = (rule for rule in rules if rule["ports"] == [{"protocol": "TCP", "port": 15672}])
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "autoscaling"}}} in rule["from"]


def test_servers_open_no_connection() -> None:
    objects = render()
    assert policy(objects, "rabbitmq")["egress"] == []
    assert policy(objects, "redis")["egress"] == []


def test_prometheus_reaches_metrics_only_when_they_are_on() -> None:
    rabbitmq = policy(render({"metrics": {"enabled": True}}), "rabbitmq")["ingress"]
    assert {"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": 15692}]} in rabbitmq
    assert "15692" not in str(policy(render(), "rabbitmq")["ingress"])


def test_prometheus_reaches_the_exporter() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    values = {"metrics": {"enabled": True}, "networkPolicy": {"metricsFrom": [peer]}}
    assert policy(render(values), "exporter")["ingress"] == [
        {"from": [peer], "ports": [{"protocol": "TCP", "port": 9808}]}
    ]


@pytest.mark.parametrize("name", ["api", "flower"])
def test_prometheus_reaches_a_page_with_peers_when_it_is_named(name: str) -> None:
    visitor, prometheus = ({"podSelector": {"matchLabels": {"app": app}}} for app in ("ingress", "prometheus"))
    values = {name: {"networkPolicy": {"from": [visitor]}}, "networkPolicy": {"metricsFrom": [prometheus]}}

    def peers(metrics: bool) -> list[Object]:
        rules = policy(render(merged(values, {"metrics": {"enabled": metrics}})), name)["ingress"]
        return [peer for rule in rules for peer in rule["from"]]

    assert prometheus in peers(True)
    assert prometheus not in peers(False)
    assert all("podSelector" in peer for peer in peers(True)), "nobody else got in with it"


def test_external_servers_are_reached_by_their_ports() -> None:
    values = merged(EXTERNAL, {"externalRabbitmq": {"port": 5673}, "externalRedis": {"port": 6380}})
    objects = render(values)

    def ports(name: str) -> set[int]:
        return {port["port"] for rule in policy(objects, name)["egress"] for port in rule["ports"]}

    assert ports("worker") == {53, 5673, 6380}
    assert ports("flower") == {53, 5673, 6380, 15671}
    assert ports("doctor") == {53, 5673, 6380, 15671, 443, 6443, 8000}
    assert ports("topology") == {53, 5673}
    assert ports("steward") == {53, 5673, 443, 6443}


@pytest.mark.parametrize("name", ["credentials", "doctor", "steward"])
def test_who_has_a_token_reaches_the_kubernetes_api(name: str) -> None:
    rules = policy(render({"networkPolicy": {"kubeApiPorts": [6443]}}), name)["egress"]
    assert {"ports": [{"protocol": "TCP", "port": 6443}]} in rules


def test_more_rules_are_added() -> None:
    rule = {"ports": [{"port": 443, "protocol": "TCP"}]}
    values = {"workers": {"default": {"networkPolicy": {"extraEgress": [rule], "extraIngress": [rule]}}}}
    spec = policy(render(values), "worker")
    assert rule in spec["egress"]
    assert spec["ingress"] == [rule]
