"""The HorizontalPodAutoscaler: can it read its metric, is it alone, and has it room?"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from stalk.doctor.checks import external_metrics
from stalk.doctor.cluster import Cluster, Json, condition, name_of
from stalk.doctor.findings import Finding

__all__ = ["check"]


def check(cluster: Cluster, backlog: Mapping[str, int]) -> Iterator[Finding]:
    """Judge the autoscalers.

    Args:
        cluster: what Kubernetes says.
        backlog: ready messages of each queue, for what stands at its maximum.
    """
    without_api = list(external_metrics.check(cluster))
    yield from without_api
    targets = defaultdict(list)
    for hpa in cluster.autoscalers:
        reference = hpa["spec"]["scaleTargetRef"]
        targets[(reference["kind"], reference["name"])].append(hpa)
    for (kind, name), found in sorted(targets.items()):
        names = sorted(map(name_of, found))
        if len(names) > 1:
            foreign = [each for each in names if not each.startswith("keda-hpa-")] or names[1:]
            yield Finding(
                "hpa-conflict",
                f"{', '.join(names)} all scale {kind} {name}",
                f"kubectl -n {cluster.namespace} delete hpa {foreign[0]}",
            )
        for hpa in found:
            yield from _one(cluster, hpa, backlog, why_known=bool(without_api) and external_metrics.is_missed(hpa))


def _one(cluster: Cluster, hpa: Json, backlog: Mapping[str, int], *, why_known: bool) -> Iterator[Finding]:
    active, target = condition(hpa, "ScalingActive"), str(hpa["spec"]["scaleTargetRef"]["name"])
    describe = f"kubectl -n {cluster.namespace} describe hpa {name_of(hpa)}"
    if active.get("status") == "False" and active.get("reason") != "ScalingDisabled" and not why_known:
        message = str(active.get("message", ""))
        if "missing request for" in message:
            yield Finding(
                "hpa-no-cpu-request",
                f"{name_of(hpa)}: {message}",
                f"{cluster.values(target, {'resources': {'requests': {'cpu': '100m'}}})}   # values.yaml; and of each "
                "of its sidecars",
            )
        elif active.get("reason") == "AmbiguousSelector":
            yield Finding("hpa-conflict", f"{name_of(hpa)}: {message}", f"kubectl -n {cluster.namespace} get hpa")
        else:
            yield Finding("hpa-unknown-metric", f"{name_of(hpa)}: {active.get('reason')}: {message}", describe)
    status, maximum = hpa.get("status") or {}, int(hpa["spec"]["maxReplicas"])
    limited = condition(hpa, "ScalingLimited")
    wants_more = limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas"
    queues = cluster.queues_of(target)
    waiting = {queue: backlog[queue] for queue in queues if backlog.get(queue)}
    if (
        int(status.get("currentReplicas") or 0) >= maximum
        and (wants_more or not status.get("conditions"))
        and (waiting or not queues)
    ):
        waits = ", ".join(f"{queue}: {number} ready" for queue, number in waiting.items()) or str(
            limited.get("message")
        )
        yield Finding(
            "hpa-at-max",
            f"{target} runs {maximum} of {maximum} replicas; {waits}",
            f"{cluster.values(target, {'autoscaling': {'max': maximum * 2}})}   # values.yaml, if the nodes and the "
            "broker bear it",
        )
