"""`helm install` with no values brings the whole system up, with Helm 3 and with Helm 4, twice in one namespace."""

from collections.abc import Callable

import helm_python
import pytest
from kubernetes import client

from charting.rendering import CHART
from e2e.harness import Release, of_this_cluster, submit, until, wait_for_all

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install()
    return made


@pytest.fixture(scope="module")
def helm4(new_release: Callable[..., Release], release: Release) -> tuple[Release, helm_python.Config]:
    """Give a second release beside the first, installed with Helm 4."""
    made = new_release("second")
    helm = helm_python.Config(kubeconfig_path=made.kubeconfig, namespace=made.namespace)
    helm.install(CHART, made.name, values=of_this_cluster(), wait="watcher", timeout=300)
    return made, helm


def test_goes_to_zero_and_runs_a_task_from_there(release: Release) -> None:
    until(lambda: release.replicas() == 0)
    assert "Succeeded" in release.helm("test")
    assert release.condition("Ready") == "True"


def test_second_release_by_helm_4_runs_its_own_tasks(
    release: Release, helm4: tuple[Release, helm_python.Config]
) -> None:
    second, helm = helm4
    helm.test(second.name, timeout=300)
    with release.api() as first_api, second.api() as second_api:
        one, other = submit(first_api), submit(second_api)
        assert first_api.get(f"/tasks/{other}").status_code == 404
        wait_for_all(first_api, [one])
        wait_for_all(second_api, [other])


def test_flower_shows_the_worker_to_who_has_the_password(release: Release) -> None:
    with release.api() as api:
        running = submit(api)
        with release.flower() as flower:
            assert flower.get("/api/workers", auth=("flower", "wrong")).status_code == 401
            until(lambda: any(worker["status"] for worker in flower.get("/workers?json=1").json()["data"]))
            assert any(
                queue["name"] == "test-queue" for queue in flower.get("/api/queues/length").json()["active_queues"]
            )
        wait_for_all(api, [running])


def test_upgrade_keeps_the_credentials(release: Release) -> None:
    before = client.CoreV1Api().read_namespaced_secret("stalk-credentials", release.namespace).data
    release.install({"extraEnv": {"STEPS": "3"}})
    assert client.CoreV1Api().read_namespaced_secret("stalk-credentials", release.namespace).data == before
    with release.api() as api:
        wait_for_all(api, [submit(api)])


def test_uninstall_leaves_volumes_and_credentials_alone(
    release: Release, helm4: tuple[Release, helm_python.Config]
) -> None:
    second, helm = helm4
    helm.uninstall(second.name, wait="watcher", timeout=300)
    release.uninstall()
    access = "serviceaccounts,roles,rolebindings,networkpolicies"
    kinds = f"all,configmaps,secrets,pvc,pdb,scaledobjects,triggerauthentications,{access}"

    def left() -> set[str]:
        return set(release.kubectl("get", kinds, "-o", "name").split()) - {
            "configmap/kube-root-ca.crt",
            "serviceaccount/default",
        }

    kept = {
        *(
            f"persistentvolumeclaim/data-{name}-{server}-0"
            for name in ("stalk", "second-stalk")
            for server in ("rabbitmq", "redis")
        ),
        *(f"secret/{name}-credentials" for name in ("stalk", "second-stalk")),
    }
    until(lambda: left() == kept)
