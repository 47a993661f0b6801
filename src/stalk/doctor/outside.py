"""The doctor on a machine with a kubeconfig: what Kubernetes says, and the servers through port-forwards."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from stalk.doctor.catalogue import Link
from stalk.doctor.checks import check, hpa, keda, network, pods, settings
from stalk.doctor.cluster import Cluster, Json, component, environment, name_of
from stalk.doctor.facts import BrokerFacts, Facts, Problem, RedisFacts
from stalk.doctor.findings import Finding, Unchecked
from stalk.doctor.forward import Forwards, NoForward
from stalk.doctor.gather import Running, start
from stalk.doctor.inside import LIMIT_SECONDS, Asked, gather, seen
from stalk.doctor.redact import Redactor
from stalk.doctor.report import Report
from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster
from stalk.doctor.target import Target, of_settings
from stalk.flower import FlowerSettings

__all__ = ["examine_release"]

OBJECTS_SECONDS = 5.0
FORWARD_SECONDS = 4.0
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
    secrets = _Secrets(kubernetes)
    facts, target = None, None
    with Forwards(kubernetes.context, kubernetes.namespace) as forwards:
        try:
            target = _Outside(cluster, secrets, forwards, kubernetes.triggers()).target(unchecked)
            if asked.api_url is None:
                asked = Asked(asked.task_id, _api_url(cluster, forwards, unchecked))
            facts = gather(target, asked, began + LIMIT_SECONDS, unchecked)
            _believe_only_what_pods_see(facts, cluster, unchecked)
        except (NoCluster, NoForward, ValidationError, LookupError) as error:
            why = f"{error.error_count()} settings cannot be read" if isinstance(error, ValidationError) else str(error)
            unchecked.append(Unchecked(SERVERS, "broker, Redis and workers", why, _inside(cluster)))
    findings = list(_findings(cluster, facts))
    said = ({} if facts is None else seen(facts, asked)) | _seen(cluster)
    redact = Redactor(
        {*secrets.values, *(target.secrets if target else ())},
        {*_names(cluster), *(target.public if target else ())},
    )
    return Report(findings, unchecked, said, time.monotonic() - began), redact


class _Secrets:
    """Reads Secrets once, and remembers what must never be printed."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes
        self._read: dict[str, dict[str, str]] = {}
        self.values: set[str] = set()

    def __call__(self, name: str, key: str) -> str:
        if name not in self._read:
            self._read[name] = self._kubernetes.secret(name)
        value = self._read[name].get(key)
        if value is None:
            raise LookupError(f"Secret {name} has no key {key}")
        return value

    def password(self, name: str, key: str) -> str:
        """Return a value that must not be printed."""
        value = self(name, key)
        self.values.add(value)
        return value


class _Outside:
    """Makes of a Deployment's environment what works from here."""

    def __init__(self, cluster: Cluster, secrets: _Secrets, forwards: Forwards, triggers: list[Json]) -> None:
        self._cluster, self._secrets, self._forwards, self._triggers = cluster, secrets, forwards, triggers
        self._deadline = time.monotonic() + FORWARD_SECONDS
        self._services = {name_of(each) for each in cluster.services}

    def target(self, unchecked: list[Unchecked]) -> Target:
        """Return the app of the release, reached through port-forwards."""
        deployment = next(
            (each for kind in ("api", "worker") for each in self._cluster.deployments if component(each) == kind), None
        )
        if deployment is None:
            raise NoCluster("the release has neither API nor workers")
        values = self._values(deployment)
        if values.get("BROKER_TLS") or values.get("BROKER_TLS_CA") or values.get("REDIS_TLS"):
            raise NoCluster("broker or Redis speak TLS, which ends at names that are not those of this machine")
        # What is shown is what the pods have; what is connected to is the way from here.
        shown = FlowerSettings.model_validate({name.lower(): value for name, value in values.items()})
        queues = sorted({queue for each in self._cluster.workers() for queue in self._cluster.queues_of(name_of(each))})
        facts = of_settings(name_of(deployment), shown, queues).facts
        management: Running[None] = start(self._management, values)
        ways = [
            start(self._way, values, "BROKER_HOST", "BROKER_PORT", 5672),
            start(self._way, values, "REDIS_HOST", "REDIS_PORT", 6379),
        ]
        for way in ways:
            way.result(self._deadline + 1)
        try:
            management.result(self._deadline + 1)
        except Exception as error:
            unchecked.append(Unchecked(("scaler",), "the broker's management API", str(error)))
        reached = FlowerSettings.model_validate({name.lower(): value for name, value in values.items()})
        return replace(of_settings(name_of(deployment), reached, queues), facts=facts)

    def _values(self, deployment: Json) -> dict[str, str]:
        values = {}
        for name, value in environment(deployment).items():
            if not name.startswith(("BROKER_", "REDIS_", "QUEUE_", "RESULT_")):
                continue
            if isinstance(value, str):
                values[name] = value
            else:
                values[name] = (self._secrets if name.endswith("_USER") else self._secrets.password)(*value)
        return values

    def _way(self, values: dict[str, str], host: str, port: str, default: int) -> None:
        service = self._service(values.get(host, ""))
        if service:
            local = self._forwards.open(f"service/{service}", int(values.get(port) or default), self._deadline)
            values[host], values[port] = "127.0.0.1", str(local)

    def _management(self, values: dict[str, str]) -> None:
        """Read where KEDA reads: that is what scaling depends on."""
        for each in self._triggers:
            found = {
                one["parameter"]: (self._secrets.password if one["parameter"] == "password" else self._secrets)(
                    one["name"], one["key"]
                )
                for one in (each["spec"].get("secretTargetRef") or ())
            }
            scheme, _, rest = found.get("host", "").partition("://")
            if scheme != "http":
                continue
            host, _, port = rest.partition("/")[0].partition(":")
            service = self._service(host)
            url = f"http://{rest}"
            if service:
                local = self._forwards.open(f"service/{service}", int(port or 80), self._deadline)
                url = f"http://127.0.0.1:{local}"
            values["BROKER_MANAGEMENT_URL"] = url
            values["BROKER_MANAGEMENT_USER"] = found.get("username", "")
            values["BROKER_MANAGEMENT_PASSWORD"] = found.get("password", "")
            return

    def _service(self, host: str) -> str:
        """Return the Service of this namespace that a host name stands for, or an empty text."""
        name, _, rest = host.partition(".")
        own = not rest or rest.split(".")[0] == self._cluster.namespace
        return name if own and name in self._services else ""


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
