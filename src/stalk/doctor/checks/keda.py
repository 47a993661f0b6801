"""KEDA: is it there, does it look here, and what does it say of the ScaledObjects?"""

from collections.abc import Iterator, Mapping

from stalk.doctor.cluster import Cluster, Json, condition, is_going, name_of
from stalk.doctor.findings import Finding
from stalk.doctor.paste import repeated, shell

__all__ = ["INSTALL", "check", "scale"]

OLDEST = (2, 18)
VERSION = "2.21.0"
"""That Stalk is tested with."""
CHART = ("keda", "--repo", "https://kedacore.github.io/charts")
INSTALL = shell("helm", "upgrade", "--install", "keda", *CHART, "--namespace", "keda", "--create-namespace")
MANIFEST = f"https://github.com/kedacore/keda/releases/download/v{VERSION}/keda-{VERSION}.yaml"
APPLY = shell("kubectl", "apply", "--server-side", "--force-conflicts", "-f", MANIFEST)
FALLBACK = frozenset(("failureThreshold", "replicas", "behavior"))
"""What the chart writes there; an older CRD drops what it does not know, and nobody is told."""
SETTLE_SECONDS = 60
PAUSED = "autoscaling.keda.sh/paused"
GO_ON: Json = {"autoscaling": {"paused": False, "pausedReplicas": None}}


def check(cluster: Cluster, unacknowledged: Mapping[str, int]) -> Iterator[Finding]:
    """Judge KEDA itself, then each ScaledObject.

    Args:
        cluster: what Kubernetes says.
        unacknowledged: messages of each queue that a worker holds.
    """
    if cluster.scaled_objects is None:
        if cluster.wants_keda:
            yield Finding("keda-absent", "the API server knows no kind ScaledObject (keda.sh/v1alpha1)", INSTALL)
        return
    if not cluster.scaled_objects:
        return
    yield from _operator(cluster)
    if cluster.keda_fields is not None and not cluster.keda_fields >= FALLBACK:
        lacks = ", ".join(f"spec.fallback.{name}" for name in sorted(FALLBACK - cluster.keda_fields))
        operator: Json | None = next(iter(cluster.operators or ()), None)
        yield Finding("keda-old", f"the CRD of ScaledObjects does not know {lacks}", _newer(operator))
    for each in cluster.scaled_objects:
        if not is_going(each):
            yield from _scaled_object(cluster, each)
            yield from _never_zero(cluster, each, unacknowledged)


def scale(cluster: Cluster, each: Json) -> str:
    """Say how many replicas a ScaledObject's pool has, and of those that are meant to be there always, why."""
    spec, name = each["spec"], each["spec"]["scaleTargetRef"]["name"]
    replicas, least = cluster.replicas(name), _least(each)
    why = ""
    if replicas > least and "cron" in _active(each):
        why = " (its cron trigger is active)"
    elif replicas == least > 0:
        why = " (its minimum)"
    number = f"{replicas} replica{'' if replicas == 1 else 's'}"
    return f"{name}: {number}{why}, {spec.get('minReplicaCount', 0)} to {spec.get('maxReplicaCount', 100)}"


def _operator(cluster: Cluster) -> Iterator[Finding]:
    if cluster.operators is None:
        return
    if not cluster.operators:
        yield Finding("keda-absent", "no Deployment of keda-operator in any namespace", _again())
    for operator in cluster.operators:
        where = f"{operator['metadata']['namespace']}/{name_of(operator)}"
        namespace = operator["metadata"]["namespace"]
        if not (operator.get("status") or {}).get("readyReplicas"):
            yield Finding(
                "keda-down",
                f"{where} has no ready pod",
                f"kubectl -n {namespace} describe pods -l app={name_of(operator)}",
            )
        version = _version(operator)
        if version and version < OLDEST:
            yield Finding("keda-old", f"{where} is KEDA {'.'.join(map(str, version))}", _newer(operator))
        watched = _watched(operator)
        if watched and cluster.namespace not in watched:
            yield Finding(
                "keda-not-watching",
                f"{where} has WATCH_NAMESPACE={','.join(watched)}; the release is in {cluster.namespace}",
                _watch_all(operator),
            )


def _again() -> str:
    """Return what brings an operator where its kinds are there: Helm refuses those that it has not made itself."""
    return f"{APPLY}   # where the kinds are Helm's: {INSTALL}"


def _of_helm(operator: Json) -> tuple[str, str]:
    """Return name and namespace of the release that an operator is of; no name where Helm has not made it."""
    annotations = operator["metadata"].get("annotations") or {}
    name = annotations.get("meta.helm.sh/release-name", "")
    return str(name), str(annotations.get("meta.helm.sh/release-namespace") or operator["metadata"]["namespace"])


def _newer(operator: Json | None) -> str:
    """Return what brings the version that Stalk is tested with, in the way that KEDA came."""
    if operator is None:
        return _again()
    release, namespace = _of_helm(operator)
    if not release:
        return APPLY
    words = ("--namespace", namespace, "--version", VERSION, "--reset-then-reuse-values")
    return shell("helm", "upgrade", release, *CHART, *words)


def _watch_all(operator: Json) -> str:
    """Return what lets an operator look at every namespace, and leaves its version."""
    release, namespace = _of_helm(operator)
    labels = operator["metadata"].get("labels") or {}
    if release:
        version = str(labels.get("helm.sh/chart", "")).rpartition("-")[2]
        words = ("--namespace", namespace, *(("--version", version) if version else ()), "--reset-then-reuse-values")
        return shell("helm", "upgrade", release, *CHART, *words, "--set", "watchNamespace=")
    whole = labels.get("app.kubernetes.io/part-of")
    which = (
        ("deployments", "-l", f"app.kubernetes.io/part-of={whole}") if whole else (f"deployment/{name_of(operator)}",)
    )
    return shell("kubectl", "-n", operator["metadata"]["namespace"], "set", "env", *which, "WATCH_NAMESPACE=")


def _version(operator: Json) -> tuple[int, ...]:
    """Return major and minor of a KEDA operator, from its label or else from its image; empty if neither says it."""
    label = str((operator["metadata"].get("labels") or {}).get("app.kubernetes.io/version", ""))
    image = str(operator["spec"]["template"]["spec"]["containers"][0].get("image", "")).partition("@")[0]
    for text in (label, image.rpartition(":")[2]):
        parts = text.removeprefix("v").split(".")
        if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit():
            return int(parts[0]), int(parts[1])
    return ()


def _watched(operator: Json) -> list[str]:
    for container in operator["spec"]["template"]["spec"]["containers"]:
        for variable in container.get("env") or ():
            if variable["name"] == "WATCH_NAMESPACE" and variable.get("value"):
                return [name.strip() for name in str(variable["value"]).split(",")]
    return []


def _scaled_object(cluster: Cluster, each: Json) -> Iterator[Finding]:
    name, annotations = name_of(each), each["metadata"].get("annotations") or {}
    conditions = {one["type"]: one for one in (each.get("status") or {}).get("conditions") or ()}
    describe = f"kubectl -n {cluster.namespace} describe scaledobject {name}"
    paused = [key for key, value in annotations.items() if key.startswith(PAUSED) and str(value).lower() != "false"]
    if paused or conditions.get("Paused", {}).get("status") == "True":
        said = ", ".join(f"{key}: {annotations[key]}" for key in paused) or conditions["Paused"].get("message", "")
        yield Finding(
            "scaledobject-paused",
            f"ScaledObject {name}: {said}",
            f"{cluster.values(each['spec']['scaleTargetRef']['name'], GO_ON)}   # values.yaml; or kubectl -n "
            f"{cluster.namespace} annotate scaledobject {name} {(paused or [PAUSED])[0]}-",
        )
    ready = conditions.get("Ready", {})
    age = cluster.age(each["metadata"].get("creationTimestamp")) or 0
    if not conditions and age > SETTLE_SECONDS and not any(_watched(one) for one in cluster.operators or ()):
        yield Finding(
            "keda-not-watching", f"ScaledObject {name} is {age:.0f} s old and KEDA has written no status", describe
        )
    if ready.get("status") == "False" and not paused:
        message = f"{ready.get('reason')}: {ready.get('message')}"
        events = [str(one.get("message", "")) for one in cluster.events_of(each) if one.get("type") == "Warning"]
        said = next((one for one in reversed(events) if "404" in one or "NOT_FOUND" in one), "")
        if said or "404" in message or "NOT_FOUND" in message:
            queues = ", ".join(_queues(each))
            yield Finding(
                "scaler-missing-queue",
                f"ScaledObject {name} reads {queues}: {said or message}",
                f"{cluster.place.stalk('topology', *repeated('--queue', _queues(each)))}   # or helm upgrade: its "
                "topology Job declares them",
            )
        else:
            latest = f"; {events[-1]}" if events else ""
            yield Finding("scaledobject-not-ready", f"ScaledObject {name}: {message}{latest}", describe)
    if conditions.get("Fallback", {}).get("status") == "True":
        yield Finding(
            "scaledobject-fallback", f"ScaledObject {name}: {conditions['Fallback'].get('message', '')}", describe
        )


def _queues(scaled_object: Json) -> list[str]:
    triggers = scaled_object["spec"].get("triggers") or ()
    return [one["metadata"]["queueName"] for one in triggers if one.get("type") == "rabbitmq"]


def _least(each: Json) -> int:
    """Return how many replicas a ScaledObject leaves where no trigger is active: that many are meant to be there."""
    spec = each["spec"]
    return int(spec.get("idleReplicaCount", spec.get("minReplicaCount")) or 0)


def _active(each: Json) -> list[str]:
    """Return the types of the triggers that are active; where KEDA does not say which ones are, of all."""
    if condition(each, "Active").get("status") != "True":
        return []
    types = [str(one["type"]) for one in each["spec"].get("triggers") or ()]
    activity = (each.get("status") or {}).get("triggersActivity")
    # A trigger's metric is called s<its place>-<what it measures>.
    return [
        kind
        for at, kind in enumerate(types)
        if not activity or any(name.startswith(f"s{at}-") and one.get("isActive") for name, one in activity.items())
    ]


def _never_zero(cluster: Cluster, each: Json, unacknowledged: Mapping[str, int]) -> Iterator[Finding]:
    """Name what keeps a pool above its minimum, though its queues have nothing to do.

    The minimum itself and a cron trigger are what somebody has asked for.
    """
    spec = each["spec"]
    replicas, least = cluster.replicas(spec["scaleTargetRef"]["name"]), _least(each)
    if replicas <= least or any(cluster.backlog.get(queue) for queue in _queues(each)):
        return
    idle_for = cluster.age((each.get("status") or {}).get("lastActiveTime"))
    cooldown = int(spec.get("cooldownPeriod") or 300)
    reasons = []
    held = {queue: unacknowledged[queue] for queue in _queues(each) if unacknowledged.get(queue)}
    idle = not any(cluster.running.get(queue) for queue in _queues(each))
    others = [kind for kind in _active(each) if kind not in ("rabbitmq", "cpu", "memory", "cron")]
    if held and idle:
        reasons += [
            f"{number} messages of {queue} are not acknowledged, and no task runs" for queue, number in held.items()
        ]
    if others and not held:
        reasons.append(f"a trigger is active, and it has others than queues: {', '.join(others)}")
    # Above a minimum it is the HPA that takes replicas away, in its own time.
    inactive = condition(each, "Active").get("status") == "False"
    if inactive and idle_for is not None and idle_for > cooldown + SETTLE_SECONDS and not least:
        reasons.append(f"it has been inactive for {idle_for:.0f} s, longer than the cooldown of {cooldown} s")
    if reasons:
        yield Finding(
            "never-zero",
            f"{spec['scaleTargetRef']['name']} has {replicas} replicas, a minimum of {least} and an empty queue: "
            f"{'; '.join(reasons)}",
            f"kubectl -n {cluster.namespace} describe scaledobject {name_of(each)}",
        )
