"""Every container of Stalk's own image runs where there is no shell.

The image keeps its base's shell; this takes it out and runs the release from what is left. RabbitMQ's and Redis's
official images are used as they are: `rabbitmq-server` itself is a shell script, `redis-server` is not.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from kubernetes import client

from charting.objects import of_kind
from charting.rendering import merged
from charting.rendering import render as rendered
from e2e.harness import QUICK, Release, of_this_cluster, until
from e2e.images import LOAD, loaded, run
from e2e.programs import source_of

pytestmark = pytest.mark.timeout(900)

THEIRS = {"rabbitmq", "redis"}
"""Components with an image that is not Stalk's."""


def shells() -> list[str]:
    """Return the shells of the file system that this runs in, and what else runs a command line."""
    import os

    names = {"ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "rbash", "sh", "tcsh", "zsh"}
    folders = {*os.environ["PATH"].split(":"), "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin"}
    return sorted(f"{folder}/{name}" for folder in folders for name in names if os.path.lexists(f"{folder}/{name}"))


REMOVE = f"""{source_of(shells)}
import os
found = shells()
for path in found:
    os.unlink(path) if os.path.lexists(path) else None
assert found and not shells(), found
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Give repository and tag of the chart's image without shells, in the cluster."""
    if not os.environ.get(LOAD):
        pytest.skip(f"NOT TESTED that no shell is needed: {LOAD} does not say how a local image gets into the cluster")
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED that no shell is needed: there is no Docker here that could build an image without one")
    (deployment,) = (
        each for each in of_kind(rendered(of_this_cluster()), "Deployment") if each["metadata"]["name"].endswith("-api")
    )
    base = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    repository, tag = base.rpartition(":")[0], f"no-shell-{uuid4().hex[:6]}"
    folder = tmp_path_factory.mktemp("no-shell")
    words = json.dumps(["python3", "-c", REMOVE])
    (folder / "Dockerfile").write_text(f"FROM {base}\nUSER 0\nRUN {words}\nUSER 10001:10001\n")
    try:
        run(["docker", "build", "--tag", f"{repository}:{tag}", str(folder)], DOCKER_BUILDKIT="0")
        loaded(f"{repository}:{tag}")
        yield repository, tag
    finally:
        subprocess.run(["docker", "image", "rm", "--force", f"{repository}:{tag}"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release], image: tuple[str, str]) -> Release:
    repository, tag = image
    ours = {"registry": "", "repository": repository, "tag": tag, "digest": "", "pullPolicy": "IfNotPresent"}
    made = new_release()
    made.install(merged(QUICK, {"image": ours, "toolkit": {"image": ours}, "beat": {"enabled": True}}))
    return made


def test_release_comes_up_and_runs_a_task_without_any_shell(release: Release, image: tuple[str, str]) -> None:
    """Credentials and topology have run, or it would not be up; a worker starts, is probed, and goes again."""
    assert "Succeeded" in release.helm("test")
    until(lambda: release.replicas() == 0, 240)
    ran = set()
    for pod in client.CoreV1Api().list_namespaced_pod(release.namespace).items:
        assert pod.metadata is not None
        assert pod.spec is not None
        component = (pod.metadata.labels or {}).get("app.kubernetes.io/component", "")
        ran.add(component)
        images = {str(container.image) for container in [*pod.spec.containers, *(pod.spec.init_containers or [])]}
        if component not in THEIRS:
            assert images == {":".join(image)}, component
    assert ran >= {"api", "flower", "beat", *THEIRS}


def test_there_is_really_no_shell(release: Release) -> None:
    where = ["exec", f"deploy/{release.fullname}-api", "--"]
    source = f"{source_of(shells)}\nprint(shells())"
    assert release.kubectl(*where, "python3", "-c", source).strip() == "[]"
    refused = release.kubectl(*where, "sh", "-c", "true", check=False).lower()
    assert "no such file" in refused or "executable file not found" in refused, refused


def test_commands_that_people_type_need_none(release: Release) -> None:
    listed = release.kubectl("exec", f"deploy/{release.fullname}-api", "--", "stalk", "dead-letters", "list")
    assert "test-queue" in listed, listed
