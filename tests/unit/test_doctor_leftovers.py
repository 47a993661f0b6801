"""What `stalk doctor` takes for a release, and for its own, where Deployments are gone and KEDA's objects are not."""

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kube.release import ServedRelease
from stalk.doctor.cluster import Cluster, name_of
from stalk.doctor.release import findings, kubernetes_says, seen_in
from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster
from stalk.doctor.sources.service_account import ServiceAccount

GOING = {"deletionTimestamp": "2026-11-25T15:10:00Z"}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedRelease]:
    with ServedRelease(tmp_path).in_this_process(monkeypatch) as release:
        yield release


def asked(served: ServedRelease) -> Kubernetes:
    return Kubernetes(ServiceAccount(served.namespace))


def read(served: ServedRelease, release: str | None = None) -> Cluster:
    return kubernetes_says(asked(served), release, time.monotonic())[0]


def uninstalled(served: ServedRelease) -> dict[str, Any]:
    """Take away what goes at once; return the ScaledObject, which hangs."""
    for kind in ("deployments", "replicasets", "pods", "horizontalpodautoscalers"):
        served.objects[kind] = []
    hanging = served.objects["scaledobjects"][0]
    hanging["metadata"] |= GOING
    return hanging


def names(cluster: Cluster) -> list[str]:
    return [name_of(each) for each in cluster.scaled_objects or ()]


def test_a_release_of_which_only_a_scaled_object_is_left(served: ServedRelease) -> None:
    uninstalled(served)
    kubernetes = asked(served)
    cluster, unchecked = kubernetes_says(kubernetes, None, time.monotonic())
    assert (cluster.release, unchecked) == ("stalk", [])
    (found,) = findings(cluster, None)
    assert found.id == "stuck-finalizer"
    assert found.evidence.startswith("scaledobject stalk-worker-default is being deleted for ")
    assert found.evidence.endswith("; finalizers: finalizer.keda.sh")
    assert seen_in(kubernetes, cluster)["scaler"] == "no pool is scaled by KEDA"


def test_trigger_authentications_that_hang_are_named(served: ServedRelease) -> None:
    uninstalled(served)
    kept = {"metadata": {"name": "kept", "finalizers": ["finalizer.keda.sh"]}}
    served.objects["triggerauthentications"] = [
        kept,
        {"metadata": {"name": "stalk-scaler", "finalizers": ["finalizer.keda.sh"]} | GOING},
    ]
    cluster = read(served)
    found = list(findings(cluster, None))
    assert [each.id for each in found] == ["stuck-finalizer"] * 2
    assert "triggerauthentication stalk-scaler is being deleted" in found[1].evidence


def test_a_pool_that_was_removed(served: ServedRelease) -> None:
    """One with the release's labels hangs, and one that somebody has made by hand; the release itself is well."""
    (well,) = served.objects["scaledobjects"]
    for name, labels in (("gone", well["metadata"]["labels"]), ("by-hand", {}), ("foreign", {"part": "other"})):
        hanging = copy.deepcopy(well)
        hanging["metadata"] |= GOING | {"name": name, "labels": labels}
        hanging["spec"]["scaleTargetRef"]["name"] = name
        served.objects["scaledobjects"].append(hanging)
    served.objects["scaledobjects"][-1]["metadata"]["labels"]["app.kubernetes.io/instance"] = "billing"
    cluster = read(served)
    assert names(cluster) == ["stalk-worker-default", "gone", "by-hand"]
    assert {each.id for each in findings(cluster, None)} == {"stuck-finalizer"}
    assert len(list(findings(cluster, None))) == 2


def test_what_others_scale_is_not_the_releases(served: ServedRelease) -> None:
    other = copy.deepcopy(served.objects["scaledobjects"][0])
    other["metadata"] |= {"name": "other", "labels": {}}
    other["spec"]["scaleTargetRef"]["name"] = "other"
    served.objects["scaledobjects"].append(other)
    assert names(read(served)) == ["stalk-worker-default"]
    other["metadata"]["labels"] = {"app.kubernetes.io/instance": "stalk"}
    assert names(read(served)) == ["stalk-worker-default"], "another chart's release of the same name"


def test_the_release_that_was_asked_for(served: ServedRelease) -> None:
    hanging = uninstalled(served)
    second = copy.deepcopy(hanging)
    second["metadata"] |= {
        "name": "second",
        "labels": hanging["metadata"]["labels"] | {"app.kubernetes.io/instance": "b"},
    }
    served.objects["scaledobjects"].append(second)
    with pytest.raises(NoCluster, match="several releases"):
        read(served)
    assert names(read(served, "b")) == ["second"]
    with pytest.raises(NoCluster, match="has no release of Stalk"):
        read(served, "c")


def test_a_namespace_that_does_not_go_needs_no_release(served: ServedRelease) -> None:
    uninstalled(served)
    served.objects["scaledobjects"] = []
    with pytest.raises(NoCluster, match="has no release of Stalk"):
        read(served)
    failed = (
        "Discovery failed for some groups, 1 failing: external.metrics.k8s.io/v1beta1: stale GroupVersion discovery"
    )
    condition = {"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "reason": "DiscoveryFailed"}
    served.space = {"metadata": GOING, "status": {"conditions": [condition | {"message": failed}]}}
    (found,) = findings(read(served), None)
    assert found.id == "namespace-terminating"
    assert f"DiscoveryFailed: {failed}" in found.evidence
    assert found.paste.startswith("kubectl get apiservices")


def test_a_namespace_that_may_not_be_read_is_said(served: ServedRelease) -> None:
    served.forbidden = {"namespaces"}
    served.named["configmaps"]["stalk-rabbitmq"] = {}
    cluster, (unchecked,) = kubernetes_says(asked(served), None, time.monotonic())
    assert list(findings(cluster, None)) == []
    assert (unchecked.what, unchecked.paste) == (
        "the namespace",
        "kubectl -n doctor-a auth can-i get namespace/doctor-a",
    )
