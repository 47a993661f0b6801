"""What holds for the objects of every set of values."""

import json
import re
from collections import Counter
from itertools import pairwise

import pytest
import yaml

from charting.cases import CASES, named_outside
from charting.objects import component, containers, key, of_kind, pods, references, selects
from charting.rendering import CHART, EXTRA, NAMESPACE, RELEASE, Object, Values, load, render, render_text
from charting.schemas import problems

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
OLDEST = re.findall(r"\d+\.\d+", yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["kubeVersion"])[0]
NOTES = "templates/NOTES.txt"
WITHOUT_SCHEMA = {"ServiceMonitor", "PodMonitor"}  # the Prometheus Operator's; their selectors are tested below


@pytest.mark.parametrize("version", [OLDEST, "1.35", "1.37"])
def test_valid_for_kubernetes(objects: list[Object], version: str) -> None:
    for thing in objects:
        if thing["kind"] not in WITHOUT_SCHEMA:
            assert problems(thing, version) == [], key(thing)


def test_rendering_again_gives_the_same(values: Values) -> None:
    first = "\n".join(map(json.dumps, render(values)))
    again = render_text(values, is_upgrade=True, revision=7)
    ours = sorted(path for path in again if path not in (NOTES, EXTRA))
    assert "\n".join(json.dumps(thing) for path in ours for thing in load(again[path])) == first


def test_no_object_comes_twice(objects: list[Object]) -> None:
    assert [name for name, count in Counter(map(key, objects)).items() if count > 1] == []


def test_names_are_short_and_of_the_release(objects: list[Object], values: Values) -> None:
    outside = named_outside(values)
    for thing in objects:
        name = thing["metadata"]["name"]
        assert NAME.fullmatch(name), key(thing)
        # StatefulSets: `-0` and a hash of 10 in a label; KEDA: `keda-hpa-` before the name.
        longest = {"StatefulSet": 52, "ScaledObject": 54}.get(thing["kind"], 63)
        assert len(name) <= longest, key(thing)
        assert name in outside or name.startswith(values.get("fullnameOverride", RELEASE)[:20]), key(thing)
        assert thing["metadata"]["namespace"] == NAMESPACE


def test_labels_are_the_recommended_ones_and_valid(objects: list[Object], values: Values) -> None:
    recommended = {f"app.kubernetes.io/{word}" for word in ("name", "instance", "component", "part-of", "version")}
    for thing in objects:
        labels = thing["metadata"]["labels"]
        assert recommended | {"helm.sh/chart", "app.kubernetes.io/managed-by"} <= set(labels), key(thing)
        assert values.get("commonLabels", {}).items() <= labels.items()
    for metadata in (thing["metadata"] for thing in objects):
        for name, value in metadata["labels"].items():
            assert isinstance(value, str), name
            assert LABEL.fullmatch(value), f"{name}: {value}"
            assert len(value) <= 63


def test_each_workload_selects_its_own_pods_alone(objects: list[Object]) -> None:
    everybody = pods(objects)
    for pod in everybody:
        selector = pod.owner["spec"].get("selector") if pod.owner["kind"] in ("Deployment", "StatefulSet") else None
        if selector:
            assert [str(other) for other in everybody if selects(selector, other.labels)] == [str(pod)]


def test_services_and_budgets_select_one_workload(objects: list[Object]) -> None:
    for thing in of_kind(objects, "Service", "PodDisruptionBudget"):
        selector = (
            {"matchLabels": thing["spec"]["selector"]} if thing["kind"] == "Service" else thing["spec"]["selector"]
        )
        chosen = [pod for pod in pods(objects) if selects(selector, pod.labels)]
        assert len(chosen) == 1, key(thing)
        if thing["kind"] == "Service":
            open_ports = {port["name"] for container in containers(chosen[0]) for port in container.get("ports", [])}
            assert {port["targetPort"] for port in thing["spec"]["ports"]} <= open_ports, key(thing)


def test_network_policies_cover_every_pod(objects: list[Object], values: Values) -> None:
    policies = [policy["spec"] for policy in of_kind(objects, "NetworkPolicy")]
    if not values.get("networkPolicy", {}).get("enabled", True):
        assert policies == []
        return
    for policy in policies:
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert any(selects(policy["podSelector"], pod.labels) for pod in pods(objects))
        for rule in [*policy["ingress"], *policy["egress"]]:
            for peer in [*rule.get("from", []), *rule.get("to", [])]:
                if "podSelector" in peer:
                    assert any(selects(peer["podSelector"], pod.labels) for pod in pods(objects)), peer
    for pod in pods(objects):
        assert any(selects(policy["podSelector"], pod.labels) for policy in policies), str(pod)


def test_monitors_find_their_ports(objects: list[Object]) -> None:
    for monitor in of_kind(objects, "ServiceMonitor"):
        (service,) = (
            service
            for service in of_kind(objects, "Service")
            if selects(monitor["spec"]["selector"], service["metadata"]["labels"])
        )
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports, key(monitor)
    for monitor in of_kind(objects, "PodMonitor"):
        (pod,) = (pod for pod in pods(objects) if selects(monitor["spec"]["selector"], pod.labels))
        ports = {port["name"] for container in containers(pod) for port in container.get("ports", [])}
        assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports, key(monitor)


def made_by_the_credentials_job(objects: list[Object]) -> dict[str, set[str]]:
    """Return the keys that the credentials Job makes, by the name of the Secret."""
    made: dict[str, set[str]] = {}
    for job in of_kind(objects, "Job"):
        words = job["spec"]["template"]["spec"]["containers"][0]["command"]
        if words[:2] == ["stalk", "credentials"]:
            keys = {after for word, after in pairwise(words) if word == "--key"}
            made[words[words.index("--secret") + 1]] = keys
    return made


def test_what_is_referred_to_exists(objects: list[Object], values: Values) -> None:
    by_name = {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects}
    made = made_by_the_credentials_job(objects)
    outside = named_outside(values) | {"default"}  # the service account that every namespace has
    for use in references(objects):
        if use.name in outside or use.optional:
            continue
        if use.kind == "Secret" and use.name in made:
            assert use.key in made[use.name], use
            continue
        assert (use.kind, use.name) in by_name, use
        target = by_name[use.kind, use.name]
        if use.kind in ("Secret", "ConfigMap") and use.key is not None:
            assert use.key in target.get("data", {}) | target.get("stringData", {}), use
        if use.kind == "Service" and use.key is not None:
            ports = target["spec"]["ports"]
            assert use.key in {port["name"] for port in ports} | {str(port["port"]) for port in ports}, use


def test_the_credentials_job_may_do_its_work_and_no_more(objects: list[Object]) -> None:
    made = made_by_the_credentials_job(objects)
    roles = [role for role in of_kind(objects, "Role") if component(role) == "credentials"]
    assert bool(made) == bool(roles)
    for role, name in zip(roles, made, strict=True):
        assert role["rules"] == [
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get", "patch"]},
        ]


def test_every_generated_key_is_used(objects: list[Object]) -> None:
    # What is optional is of another generation: `made` before, or after a rollback.
    uses = {(use.name, use.key) for use in references(objects) if use.kind == "Secret" and not use.optional}
    for name, keys in made_by_the_credentials_job(objects).items():
        assert {key for secret, key in uses if secret == name} == keys


def test_environment_names_are_unique_and_texts(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in containers(pod):
            names = Counter(entry["name"] for entry in container.get("env", []))
            assert [name for name, count in names.items() if count > 1] == [], (str(pod), container["name"])
            assert all(isinstance(entry.get("value", ""), str) for entry in container.get("env", []))


def test_no_password_is_in_a_pod_or_a_configmap(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in containers(pod):
            for entry in container.get("env", []):
                if "PASSWORD" in entry["name"] or entry["name"] == "REDISCLI_AUTH":
                    assert "secretKeyRef" in entry.get("valueFrom", {}), (str(pod), entry["name"])


def test_mounts_and_probes_meet_volumes_and_ports(objects: list[Object]) -> None:
    for pod in pods(objects):
        claims = [claim["metadata"]["name"] for claim in pod.owner["spec"].get("volumeClaimTemplates", [])]
        volumes = [volume["name"] for volume in pod.spec.get("volumes", [])] + claims
        mounted = {mount["name"] for container in containers(pod) for mount in container.get("volumeMounts", [])}
        assert mounted == set(volumes), str(pod)
        assert len(volumes) == len(set(volumes)), str(pod)
        for container in containers(pod):
            ports = {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                for action in ("httpGet", "tcpSocket"):
                    if action in container.get(kind, {}):
                        assert container[kind][action]["port"] in ports, (str(pod), kind)


@pytest.mark.parametrize("name", ["defaults", "everything"])
def test_long_running_containers_have_probes(name: str) -> None:
    for pod in pods(render(CASES[name])):
        if pod.owner["kind"] in ("Deployment", "StatefulSet") and component(pod.owner) != "beat":
            kinds = {"startupProbe", "livenessProbe", "readinessProbe"}
            assert kinds <= set(pod.spec["containers"][0]), str(pod)


def test_a_probe_never_asks_the_broker_for_a_worker(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in containers(pod):
            assert "inspect" not in str(
                [container.get(f"{kind}Probe") for kind in ("startup", "liveness", "readiness")]
            )


def test_nothing_runs_a_shell(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in containers(pod):
            assert container["command"][0].rpartition("/")[2] not in {"sh", "ash", "bash", "dash"}, str(pod)
            assert "args" not in container


def test_images_have_a_version_and_no_bitnami(objects: list[Object], values: Values) -> None:
    mirror = values.get("global", {}).get("imageRegistry")
    for pod in pods(objects):
        for container in containers(pod):
            image = container["image"]
            assert re.fullmatch(r"[\w.:-]+(/[\w.-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})", image), image
            assert not image.endswith(":latest")
            assert "bitnami" not in image
            assert mirror is None or image.startswith(f"{mirror}/")


def test_cases_are_there() -> None:
    assert {"defaults", "everything", "external"} <= set(CASES)
