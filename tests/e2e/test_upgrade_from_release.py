"""`helm upgrade` from the version before this one, with tasks that run and tasks that wait."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import yaml
from kubernetes import client

from charting.rendering import CHART
from e2e.harness import QUICK, Release, all_succeeded, submit, submit_many, until, wait_for_all
from e2e.released import ROOT, Released, previously_released
from release.previous import is_shallow

pytestmark = pytest.mark.timeout(900)

TASKS = 12
# Two pods at most, eight seconds a task: most of them still wait while the chart is upgraded.
SETTINGS = {
    "extraEnv": {"STEPS": "8", "STEP_SECONDS": "1"},
    "workerDefaults": {"concurrency": 1, "autoscaling": {"max": 2}},
}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Released:
    if is_shallow(ROOT):
        pytest.skip("the history is cut off, and the version before with it; type: git fetch --unshallow --tags")
    return previously_released(tmp_path_factory.mktemp("previous"))


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release], before: Released) -> Release:
    made = new_release()
    made.install(QUICK, SETTINGS, {"image": before.image, "toolkit": {"image": before.image}}, chart=before.chart)
    return made


def queues(release: Release) -> dict[str, Any]:
    """Return the arguments of every queue that outlives its workers."""
    words = ["rabbitmqctl", "list_queues", "name", "type", "arguments", "--formatter", "json", "--quiet"]
    pod = f"{release.fullname}-rabbitmq-0"
    found = json.loads(release.kubectl("exec", pod, "--container", "rabbitmq", "--", *words))
    return {queue["name"]: queue["arguments"] for queue in found if queue["type"] == "quorum"}


def kept(release: Release) -> dict[str, Any]:
    """Return what must be the same object with the same contents after an upgrade."""
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    secret = core.read_namespaced_secret(f"{release.fullname}-credentials", release.namespace)
    claims = core.list_namespaced_persistent_volume_claim(release.namespace).items
    deployment = apps.read_namespaced_deployment(f"{release.fullname}-worker-default", release.namespace)
    assert secret.metadata is not None
    assert deployment.metadata is not None
    return {
        "secret": (secret.metadata.uid, secret.data),
        "claims": sorted(str(claim.metadata.uid) for claim in claims if claim.metadata is not None),
        "worker": deployment.metadata.uid,
        "scaled object": release.scaled_object()["metadata"]["uid"],
        "queues": queues(release),
    }


def states(http: httpx.Client, ids: list[str]) -> list[str]:
    return [http.get(f"/tasks/{each}").json()["status"] for each in ids]


def versions(release: Release) -> set[str]:
    """Return the chart's label on everything that has a place in the release."""
    words = ["get", "all,configmaps,scaledobjects", "-l", f"app.kubernetes.io/instance={release.name}"]
    found = json.loads(release.kubectl(*words, "-o", "json"))["items"]
    owned = {"Pod", "ReplicaSet", "HorizontalPodAutoscaler", "Job"}  # made by other objects, or from before
    labels = [each["metadata"]["labels"] for each in found if each["kind"] not in owned]
    return {each["helm.sh/chart"] for each in labels if "helm.sh/chart" in each}


def test_upgrade_keeps_tasks_queues_credentials_and_scaler(release: Release, before: Released) -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert f"stalk-{before.version}" in versions(release)
    with release.api() as api:
        wait_for_all(api, [submit(api)])
        was = kept(release)
        assert "test-queue" in was["queues"]
        tasks = submit_many(api, TASKS)
        until(lambda: "PROGRESS" in states(api, tasks))
        seen = states(api, tasks)
        assert "PENDING" in seen, f"nothing waits: {seen}"
    old_pods = set(release.pod_names())

    release.install(QUICK, SETTINGS)

    with release.api() as api:
        at_upgrade = states(api, tasks)
        print(f"{before.version} -> {about['version']}, before: {sorted(seen)}, right after: {sorted(at_upgrade)}")
        wait_for_all(api, tasks)
        wait_for_all(api, [submit(api)])
        assert all_succeeded(api, tasks)
    assert kept(release) == was
    assert versions(release) == {f"stalk-{about['version']}"}
    until(lambda: not old_pods & set(release.pod_names()))
    until(lambda: release.condition("Ready") == "True")
    images = {
        str(container.image)
        for component in ("api", "worker", "flower")
        for pod in release.pods(component)
        for container in (pod.spec.containers if pod.metadata.deletion_timestamp is None else [])
    }
    assert not [image for image in images if image.endswith(before.image["tag"])], images


def test_the_new_version_finds_no_queue_with_other_arguments(release: Release) -> None:
    command = ["stalk", "topology", "-A", "app.worker.celery_app"]
    release.kubectl("exec", f"deploy/{release.fullname}-api", "--", *command)  # fails where one differs


def test_nothing_is_left_that_asks_for_workers(release: Release) -> None:
    until(lambda: release.replicas() == 0, 240)
