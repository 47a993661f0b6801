"""Who is not of the release does not reach RabbitMQ and Redis, where the cluster's network enforces NetworkPolicies.

Some networks take the objects and enforce nothing. That is found out first, with two pods and a policy that denies all;
there the rest is skipped, and pytest's summary says so.
"""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from kubernetes import client

from e2e.harness import Release, until
from e2e.programs import command
from e2e.reach import Prober, is_open, unenforced

pytestmark = pytest.mark.timeout(900)

PORTS = [("rabbitmq", 5672), ("rabbitmq", 15672), ("redis", 6379)]
STEADY = {"workers": {"default": {"autoscaling": {"mode": "none", "replicas": 1}}}}


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(STEADY)
    return made


@pytest.fixture(scope="module")
def image(release: Release) -> str:
    return str(release.worker().spec.template.spec.containers[0].image)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Give a second namespace."""
    name = f"stalk-outside-{uuid4().hex[:6]}"
    client.CoreV1Api().create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    yield name
    client.CoreV1Api().delete_namespace(name)


@pytest.fixture(scope="module")
def _enforced(release: Release, elsewhere: str, image: str) -> None:
    one, other = (
        Prober(release, elsewhere, f"pair-{name}", image, {"pair": name}).start() for name in ("one", "other")
    )
    reason = unenforced(lambda: one.reach(other.address), other.deny_all)
    if reason:
        pytest.skip(
            f"NOT TESTED that outsiders cannot reach RabbitMQ and Redis: this cluster does not enforce NetworkPolicies "
            f"({reason}). Run it on one with Calico, Cilium or another network that does."
        )


def addresses(release: Release, component: str) -> list[str]:
    """Return where a server is: its pods, and its Service."""
    selector = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component={component}"
    pods = client.CoreV1Api().list_namespaced_pod(release.namespace, label_selector=selector).items
    service = client.CoreV1Api().read_namespaced_service(f"{release.fullname}-{component}", release.namespace)
    assert service.spec is not None
    found = [str(pod.status.pod_ip) for pod in pods if pod.status is not None]
    assert found, f"no pods of {selector}"
    return [*found, str(service.spec.cluster_ip)]


def test_a_worker_reaches_broker_and_results(release: Release) -> None:
    """On every cluster: a closed port below says nothing if nobody reached it."""
    until(lambda: release.worker().status.ready_replicas == 1)
    for component, port in (("rabbitmq", 5672), ("redis", 6379)):
        for address in addresses(release, component):
            words = ["exec", f"deploy/{release.fullname}-worker-default", "--", *command(address, port)]
            assert is_open(release.kubectl(*words).strip()), (component, address)


@pytest.mark.usefixtures("_enforced")
@pytest.mark.parametrize("where", ["same namespace", "other namespace"])
@pytest.mark.parametrize("labelled", [False, True], ids=["no labels", "another release's worker"])
def test_an_outsider_reaches_neither(release: Release, image: str, elsewhere: str, where: str, labelled: bool) -> None:
    namespace = release.namespace if where == "same namespace" else elsewhere
    labels = {"outsider": "yes"}
    if labelled:
        labels |= {"app.kubernetes.io/name": "stalk", "app.kubernetes.io/component": "worker"}
        labels |= {"app.kubernetes.io/instance": "other"}
    outsider = Prober(release, namespace, f"outsider-{uuid4().hex[:6]}", image, labels).start()
    for component, port in PORTS:
        for address in addresses(release, component):
            assert outsider.never_reaches(address, port), f"{component} {address}:{port} is open to {labels} in {where}"


@pytest.mark.usefixtures("_enforced")
def test_a_worker_cannot_reach_the_management_port(release: Release) -> None:
    for address in addresses(release, "rabbitmq"):
        words = ["exec", f"deploy/{release.fullname}-worker-default", "--", *command(address, 15672)]
        assert not is_open(release.kubectl(*words).strip()), address
