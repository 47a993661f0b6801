"""Every pod passes the Pod Security Standard `restricted`, and a little more."""

from typing import Any

import pytest

from charting.cases import CASES
from charting.objects import component, containers, of_kind, pods
from charting.rendering import Object, render

VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


def test_pods_are_restricted(objects: list[Object]) -> None:
    for pod in pods(objects):
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True, str(pod)
        assert context["runAsUser"] > 0, str(pod)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, str(pod)
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod.spec), str(pod)
        for volume in pod.spec.get("volumes", []):
            assert set(volume) - {"name"} <= VOLUMES, str(pod)


def test_containers_are_restricted_and_read_only(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in containers(pod):
            context: dict[str, Any] = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, (str(pod), container["name"])
            assert context["readOnlyRootFilesystem"] is True, (str(pod), container["name"])
            assert not context.get("privileged"), (str(pod), container["name"])
            assert context["capabilities"] == {"drop": ["ALL"]}, (str(pod), container["name"])
            assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("name", ["defaults", "everything", "external", "no-persistence"])
def test_only_what_must_be_is_writable(name: str) -> None:
    writable = {"/tmp", "/data", "/var/lib/rabbitmq", "/definitions", "/auth"}
    for pod in pods(render(CASES[name])):
        kinds = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        for container in containers(pod):
            mounts = container["volumeMounts"]
            assert "/tmp" in {mount["mountPath"] for mount in mounts}, (str(pod), container["name"])
            for mount in mounts:
                read_only = mount.get("readOnly") or "configMap" in kinds.get(mount["name"], {})
                assert read_only or mount["mountPath"] in writable, (str(pod), mount)


def test_requests_and_limits(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in containers(pod):
            resources = container["resources"]
            assert set(resources["requests"]) >= {"cpu", "memory"}, (str(pod), container["name"])
            assert "memory" in resources["limits"], (str(pod), container["name"])


def test_a_token_only_where_it_is_needed(objects: list[Object]) -> None:
    for pod in pods(objects):
        needed = component(pod.owner) in {"credentials", "doctor", "steward"}
        assert pod.spec["automountServiceAccountToken"] is needed, str(pod)
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_a_role_only_where_there_is_a_token(objects: list[Object]) -> None:
    with_token = {component(pod.owner) for pod in pods(objects) if pod.spec["automountServiceAccountToken"]}
    for kind in ("Role", "RoleBinding"):
        assert {component(thing) for thing in of_kind(objects, kind)} == with_token
    assert of_kind(objects, "ClusterRole", "ClusterRoleBinding") == []


def test_each_component_has_its_own_service_account() -> None:
    accounts = [pod.spec["serviceAccountName"] for pod in pods(render())]
    assert len(accounts) == len(set(accounts))


def test_no_service_links(objects: list[Object]) -> None:
    assert all(pod.spec["enableServiceLinks"] is False for pod in pods(objects))
