"""`stalk doctor` on NetworkPolicies: silent about the chart's, right about a closed way, with a line that opens it."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import pytest
import yaml

from charting.objects import of_kind
from charting.rendering import NAMESPACE, Values, merged, render
from snippets.pastes import problems
from stalk.doctor.checks import network
from stalk.doctor.cluster import Cluster
from stalk.doctor.policies import End, Port, closing
from unit.test_doctor_cluster import recorded

Json = dict[str, Any]
TWO_POOLS: Values = {
    "workerDefaults": {"autoscaling": {"mode": "keda"}},
    "workers": {"default": {"queues": ["test-queue"]}, "mail": {"queues": ["mail"]}},
}
STRANGER = End("a stranger", NAMESPACE, {"app": "stranger"})


def cluster_of(*values: Values) -> Cluster:
    """Return what a release of the chart has, with KEDA where `make deploy-kind` puts it."""
    objects = render(merged(TWO_POOLS, *values))
    servers = [each["spec"]["template"]["metadata"] for each in of_kind(objects, "StatefulSet")]
    return Cluster(
        NAMESPACE,
        datetime.now(UTC),
        "demo",
        pods=[{"metadata": {"name": f"server-{at}", **each}} for at, each in enumerate(servers)],
        deployments=of_kind(objects, "Deployment"),
        scaled_objects=of_kind(objects, "ScaledObject"),
        operators=copy.deepcopy(recorded().operators),
        policies=copy.deepcopy(of_kind(objects, "NetworkPolicy")),
    )


def policy(cluster: Cluster, part: str) -> Json:
    spec: Json = next(each for each in cluster.policies if each["metadata"]["name"].endswith(part))["spec"]
    return spec


def without_port(rules: list[Json], number: int) -> list[Json]:
    return [each for each in rules if number not in [port["port"] for port in each["ports"]]]


def moved(cluster: Cluster, namespace: str = "scaling") -> None:
    assert cluster.operators
    cluster.operators[0]["metadata"]["namespace"] = namespace


TLS: Values = {"rabbitmq": {"tls": {"enabled": True, "existingSecret": "tls"}}}
EXTERNAL: Values = {
    "rabbitmq": {"enabled": False},
    "externalRabbitmq": {
        "host": "mq.example.com",
        "username": "stalk",
        "existingSecret": "mq",
        "management": {"url": "https://mq.example.com"},
    },
    "redis": {"enabled": False},
    "externalRedis": {"host": "redis.example.com", "existingSecret": "redis"},
}


@pytest.mark.parametrize(
    "values",
    [
        {},
        TLS,
        EXTERNAL,
        {"metrics": {"enabled": True}},
        {"networkPolicy": {"enabled": False}},
        {"api": {"networkPolicy": {"from": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]}}},
        {"flower": {"enabled": False}, "beat": {"enabled": True}},
    ],
    ids=["defaults", "tls", "external", "metrics", "none", "closed api", "no flower"],
)
def test_the_charts_own_policies_are_right(values: Values) -> None:
    cluster = cluster_of(values)
    assert list(network.check(cluster)) == []
    cluster.operators = None
    assert list(network.check(cluster)) == []


def one_pool_cannot_write_results(cluster: Cluster) -> None:
    spec = policy(cluster, "worker-mail")
    spec["egress"] = without_port(spec["egress"], 6379)


def redis_takes_one_pool(cluster: Cluster) -> None:
    (rule,) = policy(cluster, "redis")["ingress"]
    only = copy.deepcopy(rule["from"][0])
    only["podSelector"]["matchLabels"]["stalk/pool"] = "default"
    others = copy.deepcopy(rule["from"][0])
    others["podSelector"]["matchExpressions"][0]["values"] = ["api", "flower"]
    rule["from"] = [only, others]


def redis_is_closed(cluster: Cluster) -> None:
    spec = policy(cluster, "redis")
    spec["ingress"] = [each for each in spec["ingress"] if "matchExpressions" not in each["from"][0]["podSelector"]]


def no_long_answers(cluster: Cluster) -> None:
    spec = policy(cluster, "worker-mail")
    for rule in spec["egress"]:
        rule["ports"] = [port for port in rule["ports"] if (port["port"], port["protocol"]) != (53, "TCP")]


def names_of_this_namespace_alone(cluster: Cluster) -> None:
    spec = policy(cluster, "-api")
    next(each for each in spec["egress"] if each["ports"][0]["port"] == 53)["to"] = [{"podSelector": {}}]


BREAKS: list[tuple[Callable[[Cluster], None], list[str]]] = [
    (
        one_pool_cannot_write_results,
        ["worker mail may not reach redis on port 6379: egress rules of demo-stalk-worker-mail"],
    ),
    (redis_takes_one_pool, ["worker mail may not reach redis on port 6379: ingress rules of demo-stalk-redis"]),
    (
        redis_is_closed,
        [
            f"{each} may not reach redis on port 6379: ingress rules of demo-stalk-redis"
            for each in ("api", "worker default", "worker mail")
        ],
    ),
    (
        no_long_answers,
        [
            "worker mail may not reach the cluster's DNS on port 53 (TCP): egress rules of demo-stalk-worker-mail",
        ],
    ),
    (
        names_of_this_namespace_alone,
        ["api may not reach the cluster's DNS on port 53 (UDP and TCP): egress rules of demo-stalk-api"],
    ),
    (moved, ["KEDA of namespace scaling may not reach rabbitmq on port 15672: ingress rules of demo-stalk-rabbitmq"]),
]


def joined(one: Any, other: Any) -> Any:
    """Merge values as people do: rules behind each other, where Helm replaces a list."""
    if isinstance(one, list):
        return [*one, *other]
    return one | {key: joined(one[key], each) if key in one else each for key, each in other.items()}


def cured(change: Callable[[Cluster], None]) -> Cluster:
    """Return a release that is broken in that way, with the rules that the lines to paste bring."""
    before, cluster = cluster_of(), cluster_of()
    change(cluster)
    findings = list(network.check(cluster))
    assert [why for each in findings for why in problems(each.paste, NAMESPACE)] == []
    after = cluster_of(reduce(joined, [yaml.safe_load(each.paste) for each in findings]))
    for was, broken, shall in zip(before.policies, cluster.policies, after.policies, strict=True):
        assert was["metadata"]["name"] == broken["metadata"]["name"] == shall["metadata"]["name"]
        for direction in ("ingress", "egress"):
            brought = list(shall["spec"][direction])
            for rule in was["spec"][direction]:
                if rule in brought:
                    brought.remove(rule)
            broken["spec"][direction] += brought
    return cluster


@pytest.mark.parametrize(("change", "evidence"), BREAKS, ids=[each[0].__name__ for each in BREAKS])
def test_a_way_that_is_closed_is_found_and_the_line_opens_it(
    change: Callable[[Cluster], None], evidence: list[str]
) -> None:
    cluster = cluster_of()
    change(cluster)
    assert [each.evidence for each in network.check(cluster)] == evidence
    after = cured(change)
    assert list(network.check(after)) == []
    for part, port in (("rabbitmq", 5672), ("rabbitmq", 15672), ("redis", 6379)):
        server = next(
            each["metadata"]["labels"]
            for each in after.pods
            if each["metadata"]["labels"]["app.kubernetes.io/component"] == part
        )
        assert closing(after.policies, "Ingress", End(part, NAMESPACE, server), STRANGER, Port(port)), "open to all"


def test_the_line_names_who_is_let_in() -> None:
    cluster = cluster_of()
    redis_takes_one_pool(cluster)
    (finding,) = network.check(cluster)
    (rule,) = yaml.safe_load(finding.paste)["redis"]["networkPolicy"]["extraIngress"]
    labels = {
        "app.kubernetes.io/name": "stalk",
        "app.kubernetes.io/instance": "demo",
        "app.kubernetes.io/component": "worker",
        "stalk/pool": "mail",
    }
    assert rule == {"from": [{"podSelector": {"matchLabels": labels}}], "ports": [{"port": 6379}]}
    assert finding.paste.endswith("or kubectl -n shop describe networkpolicy demo-stalk-redis")


KUBE_SYSTEM = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
LABELLED = {"namespaceSelector": {"matchLabels": {"team": "platform"}}}


@pytest.mark.parametrize(
    ("to", "ports", "well"),
    [
        ([KUBE_SYSTEM | {"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}], [53], True),
        ([LABELLED], [53], True),
        ([{"ipBlock": {"cidr": "169.254.20.10/32"}}], [53], True),
        ([KUBE_SYSTEM], [5353], True),
        ([KUBE_SYSTEM], ["dns"], True),
        ([KUBE_SYSTEM], [5300], False),
        ([{"podSelector": {}}], [53], False),
    ],
)
def test_dns_is_wherever_a_cluster_has_it(to: list[Json], ports: list[int | str], well: bool) -> None:
    cluster = cluster_of()
    spec = policy(cluster, "worker-mail")
    spec["egress"] = without_port(spec["egress"], 53)
    asked = [{"port": port, "protocol": protocol} for port in ports for protocol in ("UDP", "TCP")]
    spec["egress"].append({"to": to, "ports": asked})
    assert (list(network.check(cluster)) == []) == well


def test_keda_that_nobody_may_see_is_let_in_by_some_namespace() -> None:
    cluster = cluster_of({"keda": {"namespace": "scaling"}})
    cluster.operators = None
    assert list(network.check(cluster)) == []
    spec = policy(cluster, "rabbitmq")
    for rule in spec["ingress"]:
        rule["from"] = [peer for peer in rule["from"] if "namespaceSelector" not in peer]
    (finding,) = network.check(cluster)
    assert finding.evidence == "KEDA may not reach rabbitmq on port 15672: ingress rules of demo-stalk-rabbitmq"


def test_keda_is_not_asked_for_where_it_reads_nothing() -> None:
    cluster = cluster_of()
    moved(cluster)
    cluster.scaled_objects = []
    assert list(network.check(cluster)) == []


def test_keda_reads_where_tls_is() -> None:
    cluster = cluster_of(TLS)
    moved(cluster)
    (finding,) = network.check(cluster)
    assert "KEDA of namespace scaling may not reach rabbitmq on port 15671" in finding.evidence


def test_a_namespace_that_denies_everything() -> None:
    cluster = cluster_of({"networkPolicy": {"enabled": False}})
    deny = {"metadata": {"name": "deny"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}
    cluster.policies = [deny]
    said = {each.evidence for each in network.check(cluster)}
    assert "worker mail may not reach rabbitmq on port 5672: ingress rules of deny" in said
    assert "worker mail may not reach rabbitmq on port 5672: egress rules of deny" in said
    assert "flower may not reach the cluster's DNS on port 53 (UDP and TCP): egress rules of deny" in said
    assert "KEDA of namespace keda may not reach rabbitmq on port 15672: ingress rules of deny" in said
