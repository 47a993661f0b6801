"""A release as Kubernetes shows it: what it says, and what follows from that and from what its servers say."""

import time
from collections.abc import Iterator

from stalk.doctor.catalogue import Link
from stalk.doctor.checks import check, external_metrics, hpa, keda, namespace, network, pods, settings
from stalk.doctor.cluster import METRICS_API, Cluster, is_going, name_of
from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding, Unchecked
from stalk.doctor.gather import start
from stalk.doctor.inside import LIMIT_SECONDS, Asked, gather, seen
from stalk.doctor.paste import shell
from stalk.doctor.report import Report
from stalk.doctor.sources.kubernetes import Kubernetes
from stalk.doctor.target import Target

__all__ = ["examine_both", "findings", "kubernetes_says", "names", "seen_in"]

LINK_OF: dict[str, Link] = {
    "autoscalers": "HPA",
    "ConfigMaps": "queue",
    "Services": "API",
    "ScaledObjects": "scaler",
    "TriggerAuthentications": "scaler",
}


def kubernetes_says(kubernetes: Kubernetes, release: str | None, began: float) -> tuple[Cluster, list[Unchecked]]:
    """Return the release, and what could not be read of it.

    Args:
        kubernetes: where it is.
        release: its name, where its namespace may have several.
        began: when the look began, as `time.monotonic()`.

    Raises:
        NoCluster: there is no such release, or the cluster cannot be asked.
        Late: it took too long.
    """
    cluster = kubernetes.cluster(release, began)
    unchecked = [
        Unchecked((LINK_OF.get(what, "pods"),), what, why, _may(kubernetes, what))
        for what, why in kubernetes.refused.items()
    ]
    unchecked += [
        Unchecked((LINK_OF.get(what, "pods"),), f"all {what}", why, f"kubectl -n {cluster.namespace} get {what}")
        for what, why in kubernetes.cut.items()
    ]
    if cluster.operators is None and cluster.scaled_objects:
        why = f"its Deployment may not be listed: {kubernetes.unlisted}"
        unchecked.insert(0, Unchecked(("scaler",), "KEDA's operator", why))
    if cluster.metrics_api is None and any(map(external_metrics.is_missed, cluster.autoscalers)):
        paste = f"kubectl get apiservice {METRICS_API}"
        unchecked.append(Unchecked(("HPA",), "the API of external metrics", "its APIService may not be read", paste))
    return cluster, unchecked


def _may(kubernetes: Kubernetes, what: str) -> str:
    """Return the command that says whether this user may read something."""
    if what == "the namespace":
        return shell("kubectl", "-n", kubernetes.namespace, "auth", "can-i", "get", f"namespace/{kubernetes.namespace}")
    resource = {
        "autoscalers": "horizontalpodautoscalers.autoscaling",
        "ScaledObjects": "scaledobjects.keda.sh",
        "TriggerAuthentications": "triggerauthentications.keda.sh",
        "NetworkPolicies": "networkpolicies.networking.k8s.io",
        "ReplicaSets": "replicasets.apps",
    }.get(what, what.lower())
    return shell("kubectl", "-n", kubernetes.namespace, "auth", "can-i", "list", resource)


def examine_both(
    kubernetes: Kubernetes, release: str | None, target: Target, asked: Asked, began: float
) -> tuple[Report, set[str]]:
    """Look at a release from one of its pods, which reaches the servers as the app does.

    Returns:
        The report, and names in it that are no secret.

    Raises:
        NoCluster: there is no such release, or the cluster cannot be asked.
    """
    servers = start(_servers, target, asked, began)
    cluster, unchecked = kubernetes_says(kubernetes, release, began)
    facts, more = servers.result(began + LIMIT_SECONDS + 1)
    found, said = list(findings(cluster, facts)), seen(facts, asked) | seen_in(kubernetes, cluster)
    report = Report(found, [*more, *unchecked], said, time.monotonic() - began)
    return report, names(cluster) | target.public


def _servers(target: Target, asked: Asked, began: float) -> tuple[Facts, list[Unchecked]]:
    unchecked: list[Unchecked] = []
    return gather(target, asked, began + LIMIT_SECONDS, unchecked), unchecked


def findings(cluster: Cluster, facts: Facts | None) -> Iterator[Finding]:
    """Judge everything.

    Args:
        cluster: what Kubernetes says.
        facts: what the servers say; None: nobody could ask them.
    """
    unacknowledged: dict[str, int] = {}
    if facts is not None:
        if cluster.consumer_timeout is not None:
            facts.consumer_timeout, facts.consumer_timeout_from = cluster.consumer_timeout
        facts.place = cluster.place
        yield from check(facts)
        if facts.broker is not None:
            cluster.backlog = {queue: facts.broker.ready.get(queue, 0) for queue in facts.app.queues}
        if facts.management is not None and facts.workers is not None:  # who runs nothing is only known from them
            unacknowledged = {
                queue: int(facts.management.queue(facts.app.vhost, queue).get("messages_unacknowledged") or 0)
                for queue in facts.app.queues
            }
        if facts.workers is not None:
            workers = facts.workers
            cluster.running = {
                queue: sum(len(workers.active.get(name, ())) for name in workers.consuming(queue))
                for queue in facts.app.queues
            }
    yield from settings.check(cluster)
    yield from keda.check(cluster, unacknowledged)
    yield from hpa.check(cluster, cluster.backlog)
    yield from pods.check(cluster)
    yield from namespace.check(cluster)
    yield from network.check(cluster)


def seen_in(kubernetes: Kubernetes, cluster: Cluster) -> dict[Link, str]:
    """Say in a line what was looked at in Kubernetes, for each link that was."""
    scaled = ", ".join(keda.scale(cluster, each) for each in cluster.scaled_objects or () if not is_going(each))
    said: dict[Link, str] = {"pods": f"{len(cluster.pods)} pods, none in trouble"}
    if "ScaledObjects" not in kubernetes.refused:
        said["scaler"] = f"KEDA scales {scaled}" if scaled else "no pool is scaled by KEDA"
    if "autoscalers" not in kubernetes.refused:
        said["HPA"] = f"{len(cluster.autoscalers)} autoscalers, each alone on its workload"
    return said


def names(cluster: Cluster) -> set[str]:
    """Return names that are no secret, even where a weak password is a part of one."""
    secrets = (name for name, _ in cluster.place.secrets.values())
    return {cluster.namespace, cluster.release, *secrets, *(name_of(each) for _, each in cluster.objects())}
