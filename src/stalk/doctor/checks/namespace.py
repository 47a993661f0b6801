"""The namespace: does it stay?"""

from collections.abc import Iterator

from stalk.doctor.cluster import Cluster
from stalk.doctor.findings import Finding

__all__ = ["check"]


def check(cluster: Cluster) -> Iterator[Finding]:
    """Tell of a namespace that is being deleted, and what holds it by its own conditions."""
    space = cluster.space or {"metadata": {}}
    gone_for = cluster.age(space["metadata"].get("deletionTimestamp"))
    if gone_for is None:
        return
    conditions = [one for one in (space.get("status") or {}).get("conditions") or () if one["status"] == "True"]
    said = "; ".join(f"{one.get('reason')}: {one.get('message')}" for one in conditions)
    name = cluster.namespace
    yield Finding(
        "namespace-terminating",
        f"namespace {name} is being deleted for {gone_for:.0f} s; {said or 'no condition says what holds it'}",
        "kubectl get apiservices | grep False   # an API that does not answer holds every namespace"
        if any(one["type"] == "NamespaceDeletionDiscoveryFailure" for one in conditions)
        else "kubectl api-resources --verbs=list --namespaced -o name | xargs -n1 kubectl -n "
        f"{name} get --ignore-not-found --show-kind",
    )
