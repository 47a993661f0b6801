"""The API that autoscalers read KEDA's metrics from: is it there, does it answer, and is it KEDA's?"""

from collections.abc import Iterator

from stalk.doctor.checks.keda import INSTALL
from stalk.doctor.cluster import METRICS_API, Cluster, Json, condition, is_going, name_of
from stalk.doctor.findings import Finding

__all__ = ["check", "is_missed"]


def check(cluster: Cluster) -> Iterator[Finding]:
    """Judge it where a pool needs it.

    KEDA takes pools from zero to one without it, so that it is missed with the first burst; it is told before.
    """
    api, pools = cluster.metrics_api, [each for each in cluster.scaled_objects or () if not is_going(each)]
    if api is None or not pools or cluster.operators == []:  # without an operator KEDA itself is what is missing
        return
    ours = [each for each in cluster.autoscalers if _is_kedas(each)]
    if any(condition(each, "ScalingActive").get("status") == "True" for each in ours):
        return  # a metric is read, so the API does what it is for
    wrong = _wrong(api)
    if wrong is None:
        return
    said, paste = wrong
    proof = next(
        (f"; {name_of(each)}: {condition(each, 'ScalingActive')['message']}" for each in ours if is_missed(each)), ""
    )
    yield Finding("external-metrics-api", f"{said}{proof}", paste)


def is_missed(hpa: Json) -> bool:
    """Tell whether an autoscaler says that it cannot read a metric from this API."""
    active = condition(hpa, "ScalingActive")
    return active.get("status") == "False" and active.get("reason") == "FailedGetExternalMetric"


def _wrong(api: Json) -> tuple[str, str] | None:
    """Return what is wrong with the APIService, and what to paste; None: nothing is."""
    if not api:
        return f"there is no APIService {METRICS_API}", INSTALL
    service = api["spec"].get("service") or {"namespace": "default", "name": "kubernetes"}
    where = f"Service {service['namespace']}/{service['name']}"
    if "keda" not in service["name"]:  # both its chart and its manifests have it in the name
        return (
            f"APIService {METRICS_API} belongs to {where}",
            f"kubectl get apiservice {METRICS_API} -o yaml   # whose it is; then KEDA's chart or manifest once more",
        )
    available = condition(api, "Available")
    if available.get("status") == "True":
        return None
    return (
        f"APIService {METRICS_API} of {where} is not Available: {available.get('reason')}: {available.get('message')}",
        f"kubectl -n {service['namespace']} get pods,endpointslices   # of {service['name']}; if they are well, a "
        "firewall or NetworkPolicy keeps the API server from them",
    )


def _is_kedas(hpa: Json) -> bool:
    return any(each.get("kind") == "ScaledObject" for each in hpa["metadata"].get("ownerReferences") or ())
