"""The doctor on a machine with a kubeconfig: what Kubernetes says, and the servers through port-forwards."""

import time
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from stalk.doctor.catalogue import Link
from stalk.doctor.checks import check, hpa, keda, network, pods, settings
from stalk.doctor.cluster import Cluster, Json, component, name_of
from stalk.doctor.facts import BrokerFacts, Facts, Problem, RedisFacts
from stalk.doctor.findings import Finding, Unchecked
from stalk.doctor.forward import Forwards, NoForward
from stalk.doctor.inside import LIMIT_SECONDS, Asked, gather, seen
from stalk.doctor.reach import FORWARD_SECONDS, Reach, Secrets
from stalk.doctor.redact import Redactor
from stalk.doctor.report import Report
from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster

__all__ = ["examine_release"]

OBJECTS_SECONDS = 5.0
LINK_OF: dict[str, Link] = {"autoscalers": "HPA", "Services": "API", "Secrets": "scaler", "ScaledObjects": "scaler"}
SERVERS: tuple[Link, ...] = ("API", "exchange", "queue", "worker", "result")


def examine_release(kubernetes: Kubernetes, release: str | None, asked: Asked, began: float) -> tuple[Report, Redactor]:
    """Look at a release from outside.

    Returns:
        The report, and what takes the secrets out of it that were read for logging in.

    Raises:
        NoCluster: there is no such release, or the cluster cannot be asked.
    """
    cluster = kubernetes.cluster(release, began + OBJECTS_SECONDS)
    unchecked: list[Unchecked] = []
    if cluster.operators is None and cluster.scaled_objects:
        unchecked.append(Unchecked(("scaler",), "KEDA's operator", "its Deployment may not be listed"))
    for what, why in kubernetes.refused.items():
        unchecked.append(Unchecked((LINK_OF.get(what, "pods"),), what, why, f"kubectl auth can-i list {what.lower()}"))
    secrets = Secrets(kubernetes)
    facts, target = None, None
    with Forwards(kubernetes.context, kubernetes.namespace) as forwards:
        try:
            target = Reach(cluster, secrets, forwards, kubernetes.triggers()).target(unchecked)
            if asked.api_url is None:
                asked = Asked(asked.task_id, _api_url(cluster, forwards, unchecked))
            facts = gather(target, asked, began + LIMIT_SECONDS, unchecked)
            _believe_only_what_pods_see(facts, cluster, unchecked)
        except (NoCluster, NoForward, ValidationError, LookupError) as error:
            why = f"{error.error_count()} settings cannot be read" if isinstance(error, ValidationError) else str(error)
            unchecked.append(Unchecked(SERVERS, "broker, Redis and workers", why, _inside(cluster)))
    findings = list(_findings(cluster, facts))
    said = ({} if facts is None else seen(facts, asked)) | _seen(cluster)
    for what in ("autoscalers", "ScaledObjects"):
        if what in kubernetes.refused:
            del said[LINK_OF[what]]
    redact = Redactor(
        {*secrets.values, *(target.secrets if target else ())},
        {*_names(cluster), *(target.public if target else ())},
    )
    return Report(findings, unchecked, said, time.monotonic() - began), redact


def _api_url(cluster: Cluster, forwards: Forwards, unchecked: list[Unchecked]) -> str | None:
    service = next((each for each in cluster.services if component(each) == "api" and _of(cluster, each)), None)
    if service is None:
        return None
    try:
        port = int(service["spec"]["ports"][0]["port"])
        local = forwards.open(f"service/{name_of(service)}", port, time.monotonic() + FORWARD_SECONDS)
    except NoForward as error:
        unchecked.append(
            Unchecked(("API",), "the API", str(error), "kubectl get pods -l app.kubernetes.io/component=api")
        )
        return None
    return f"http://127.0.0.1:{local}"


def _of(cluster: Cluster, each: Json) -> bool:
    labels: dict[str, Any] = each["metadata"].get("labels") or {}
    return labels.get("app.kubernetes.io/instance") == cluster.release


def _believe_only_what_pods_see(facts: Facts, cluster: Cluster, unchecked: list[Unchecked]) -> None:
    """Take back what is only true of this machine: that a name or a port outside the cluster cannot be reached."""
    services = {name_of(each) for each in cluster.services}
    for what, links, found in (
        ("the broker", ("API", "exchange", "queue", "worker"), facts.broker),
        ("Redis", ("request", "result"), facts.redis),
    ):
        problem = found.problem if found is not None else None
        if problem is None or problem.kind not in ("dns", "unreachable"):
            continue
        host = (facts.app.broker if what == "the broker" else facts.app.results).partition(":")[0]
        if host.partition(".")[0] in services:
            continue
        if "." not in host:
            text = f"namespace {cluster.namespace} has no Service of the name {host}"
            problem = Problem("dns", problem.where, text)
            if what == "the broker":
                facts.broker = BrokerFacts(problem)
            else:
                facts.redis = RedisFacts(problem)
            continue
        unchecked.append(Unchecked(links, what, f"{host} cannot be reached from here", _inside(cluster)))  # type: ignore[arg-type]
        if what == "the broker":
            facts.broker = None
        else:
            facts.redis = None


def _inside(cluster: Cluster) -> str:
    """Return the line that runs the doctor where the app's environment is."""
    for kind in ("api", "worker"):
        for each in cluster.deployments:
            if component(each) == kind:
                return f"kubectl -n {cluster.namespace} exec deploy/{name_of(each)} -- stalk doctor -A <app>"
    return ""


def _findings(cluster: Cluster, facts: Facts | None) -> Iterator[Finding]:
    unacknowledged: dict[str, int] = {}
    if facts is not None:
        facts.here = f"kubectl -n {cluster.namespace} exec deploy/{facts.app.name} -- "
        yield from check(facts)
        if facts.broker is not None:
            cluster.backlog = {queue: facts.broker.ready.get(queue, 0) for queue in facts.app.queues}
        if facts.management is not None:
            unacknowledged = {
                queue: int(facts.management.queue(facts.app.vhost, queue).get("messages_unacknowledged") or 0)
                for queue in facts.app.queues
            }
        if facts.workers is not None:
            cluster.running = sum(len(each) for each in facts.workers.active.values())
    yield from settings.check(cluster)
    yield from keda.check(cluster, unacknowledged)
    yield from hpa.check(cluster, cluster.backlog)
    yield from pods.check(cluster)
    yield from network.check(cluster)


def _seen(cluster: Cluster) -> dict[Link, str]:
    objects = [(each["spec"], each["spec"]["scaleTargetRef"]["name"]) for each in cluster.scaled_objects or ()]
    scaled = ", ".join(
        f"{name}: {cluster.replicas(name)} replicas, {spec.get('minReplicaCount', 0)} to "
        f"{spec.get('maxReplicaCount', 100)}"
        for spec, name in objects
    )
    return {
        "scaler": f"KEDA scales {scaled}" if scaled else "no pool is scaled by KEDA",
        "HPA": f"{len(cluster.autoscalers)} autoscalers, each alone on its workload",
        "pods": f"{len(cluster.pods)} pods, none in trouble",
    }


def _names(cluster: Cluster) -> set[str]:
    return {cluster.namespace, cluster.release, *(name_of(each) for _, each in cluster.objects())}
