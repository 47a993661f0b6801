"""The doctor on a machine with a kubeconfig: what Kubernetes says, and the servers through port-forwards."""

import time

from pydantic import ValidationError

from stalk.doctor.catalogue import Link
from stalk.doctor.cluster import Cluster, Json, component, name_of, release_of
from stalk.doctor.facts import BrokerFacts, Facts, Problem, RedisFacts
from stalk.doctor.findings import Unchecked
from stalk.doctor.forward import Forwards, NoForward
from stalk.doctor.gather import Late, start
from stalk.doctor.inside import LIMIT_SECONDS, Asked, gather, seen
from stalk.doctor.paste import repeated
from stalk.doctor.reach import REACH_SECONDS, Reach, Secrets
from stalk.doctor.redact import Redactor
from stalk.doctor.release import findings, kubernetes_says, names, seen_in
from stalk.doctor.report import Report
from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster

__all__ = ["examine_release"]

AUTHENTICATIONS = "TriggerAuthentications"
SERVERS: tuple[Link, ...] = ("API", "exchange", "queue", "worker", "result")


def examine_release(kubernetes: Kubernetes, release: str | None, asked: Asked, began: float) -> tuple[Report, Redactor]:
    """Look at a release from outside.

    Returns:
        The report, and what takes the secrets out of it that were read for logging in.

    Raises:
        NoCluster: there is no such release, or the cluster cannot be asked.
    """
    cluster, unchecked = kubernetes_says(kubernetes, release, began)
    # What is missed without them is told where it is.
    unchecked = [each for each in unchecked if each.what != AUTHENTICATIONS]
    deadline = min(time.monotonic() + REACH_SECONDS, began + LIMIT_SECONDS - 1)
    secrets = Secrets(kubernetes, deadline)
    facts, target = None, None
    with Forwards(kubernetes.context, kubernetes.namespace) as forwards:
        try:
            api = start(_api_url, cluster, forwards, deadline)
            triggers = start(_authentications, cluster, kubernetes.refused.get(AUTHENTICATIONS))
            target = Reach(cluster, secrets, forwards, triggers, deadline).target(unchecked)
            if asked.api_url is None:
                try:
                    asked = Asked(asked.task_id, api.result(deadline + 1))
                except (NoForward, Late) as error:
                    unchecked.append(Unchecked(("API",), "the API", str(error), cluster.place.look("pods", "api")))
            facts = gather(target, asked, began + LIMIT_SECONDS, unchecked)
            _believe_only_what_pods_see(facts, cluster, unchecked, "Services" not in kubernetes.refused)
        except (NoCluster, NoForward, Late, ValidationError, LookupError) as error:
            why = f"{error.error_count()} settings cannot be read" if isinstance(error, ValidationError) else str(error)
            unchecked.append(Unchecked(SERVERS, "broker, Redis and workers", why, _inside(cluster)))
    redact = Redactor(
        {*secrets.values, *(target.secrets if target else ())},
        {*names(cluster), *(target.public if target else ())},
    )
    found = list(findings(cluster, facts))
    said = ({} if facts is None else seen(facts, asked)) | seen_in(kubernetes, cluster)
    return Report(found, unchecked, said, time.monotonic() - began), redact


def _authentications(cluster: Cluster, refused: str | None) -> list[Json]:
    if refused is not None:
        raise NoCluster(f"{AUTHENTICATIONS}: {refused}")
    return list(cluster.authentications)


def _api_url(cluster: Cluster, forwards: Forwards, deadline: float) -> str | None:
    service = next(
        (each for each in cluster.services if component(each) == "api" and release_of(each) == cluster.release), None
    )
    if service is None:
        return None
    port = int(service["spec"]["ports"][0]["port"])
    return f"http://127.0.0.1:{forwards.open(f'service/{name_of(service)}', port, deadline)}"


def _believe_only_what_pods_see(facts: Facts, cluster: Cluster, unchecked: list[Unchecked], all_services: bool) -> None:
    """Take back what is only true of this machine: that a name or a port outside the cluster cannot be reached.

    Args:
        facts: of the servers.
        cluster: with the Services that names may stand for.
        unchecked: gets what is taken back.
        all_services: those are all; else what has no Service here may have one.
    """
    services = {name_of(each) for each in cluster.services}
    management = facts.management.problem if facts.management is not None else None
    if not all_services and management is not None and management.kind in ("dns", "unreachable"):
        text = "its address cannot be reached from here"
        unchecked.append(Unchecked(("scaler",), "the broker's management API", text, _inside(cluster)))
        facts.management = None
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
        if "." not in host and all_services:
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
    queues = sorted({queue for each in cluster.workers() for queue in cluster.queues_of(name_of(each))})
    return cluster.place.stalk("doctor", *repeated("-q", queues))
