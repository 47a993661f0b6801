"""What each switch brings, and takes away."""

import json
from typing import Any, NamedTuple

import pytest
import yaml

from charting.objects import component, find, key, of_kind, pods
from charting.rendering import CHART, EXTRA, Object, Values, load, render, render_text

POD = {"NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"}
EXTERNAL_BROKER = {
    "rabbitmq": {"enabled": False},
    "externalRabbitmq": {"host": "mq", "username": "me", "existingSecret": "mine"},
}


class Component(NamedTuple):
    name: str
    on: Values
    off: Values
    kinds: set[str]


COMPONENTS = [
    Component("api", {}, {"api": {"enabled": False}}, POD | {"Deployment", "Service"}),
    Component("test", {}, {"api": {"enabled": False}}, {"NetworkPolicy", "Pod", "ServiceAccount"}),
    Component(
        "doctor",
        {},
        {"test": {"doctor": {"enabled": False}}},
        {"NetworkPolicy", "Pod", "Role", "RoleBinding", "ServiceAccount"},
    ),
    Component("flower", {}, {"flower": {"enabled": False}}, POD | {"Deployment", "Service"}),
    Component(
        "worker", {}, {"workers": {"default": {"enabled": False}}}, POD | {"Deployment", "HorizontalPodAutoscaler"}
    ),
    Component(
        "exporter",
        {"metrics": {"enabled": True}},
        {"metrics": {"enabled": True, "exporter": {"enabled": False}}},
        {"Deployment", "NetworkPolicy", "Service", "ServiceAccount", "ServiceMonitor"},
    ),
    Component(
        "steward",
        {},
        {"steward": {"enabled": False}},
        {"Deployment", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"},
    ),
    Component("beat", {"beat": {"enabled": True}}, {}, POD | {"Deployment"}),
    Component("topology", {}, {"topology": {"enabled": False}}, {"Job", "NetworkPolicy", "ServiceAccount"}),
    Component("rabbitmq", {}, EXTERNAL_BROKER, POD | {"ConfigMap", "Service", "StatefulSet"}),
    Component("rabbitmq-headless", {}, EXTERNAL_BROKER, {"Service"}),
    Component(
        "redis",
        {},
        {"redis": {"enabled": False}, "externalRedis": {"host": "redis"}},
        POD | {"ConfigMap", "Service", "StatefulSet"},
    ),
    Component(
        "credentials",
        {},
        {
            "rabbitmq": {"auth": {"existingSecret": "a"}},
            "redis": {"auth": {"existingSecret": "b"}},
            "flower": {"auth": {"existingSecret": "c"}},
        },
        {"Job", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"},
    ),
    Component(
        "scaler",
        {"workers": {"default": {"autoscaling": {"mode": "keda"}}}},
        {"workers": {"default": {"autoscaling": {"mode": "hpa"}}}},
        {"Secret", "TriggerAuthentication"},
    ),
]


def of(objects: list[Object], name: str) -> list[Object]:
    return [thing for thing in objects if component(thing) == name]


@pytest.mark.parametrize("part", COMPONENTS, ids=lambda part: part.name)
def test_on(part: Component) -> None:
    assert {thing["kind"] for thing in of(render(part.on), part.name)} == part.kinds


@pytest.mark.parametrize("part", COMPONENTS, ids=lambda part: part.name)
def test_off_leaves_nothing_behind(part: Component) -> None:
    objects = render(part.off)
    assert [key(thing) for thing in of(objects, part.name)] == []
    names = {thing["metadata"]["name"] for thing in of(render(part.on), part.name)}
    names -= {thing["metadata"]["name"] for thing in objects}
    text = json.dumps(objects)
    assert [name for name in names if f'"{name}"' in text] == []


METRICS = {f"{kind}/demo-stalk-exporter" for kind in ("Deployment", "NetworkPolicy", "Service", "ServiceAccount")} | {
    "ConfigMap/demo-stalk-dashboard",
    "PrometheusRule/demo-stalk-alerts",
    *(f"ServiceMonitor/demo-stalk-{name}" for name in ("api", "exporter", "flower", "rabbitmq")),
}
OPTIONS: list[tuple[Values, set[str]]] = [
    ({"api": {"ingress": {"enabled": True}}}, {"Ingress/demo-stalk-api"}),
    ({"flower": {"ingress": {"enabled": True}}}, {"Ingress/demo-stalk-flower"}),
    ({"api": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "gw"}]}}}, {"HTTPRoute/demo-stalk-api"}),
    ({"flower": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "gw"}]}}}, {"HTTPRoute/demo-stalk-flower"}),
    ({"flower": {"persistence": {"enabled": True}}}, {"PersistentVolumeClaim/demo-stalk-flower"}),
    ({"flower": {"persistence": {"enabled": True, "existingClaim": "mine"}}}, set()),
    ({"metrics": {"enabled": True}}, METRICS),
    (
        {"metrics": {"enabled": True}, "workers": {"default": {"metricsPort": 9000}}},
        METRICS | {"PodMonitor/demo-stalk-worker-default"},
    ),
    (
        {"metrics": {"enabled": True, "rules": {"enabled": False}, "dashboard": {"enabled": False}}},
        METRICS - {"ConfigMap/demo-stalk-dashboard", "PrometheusRule/demo-stalk-alerts"},
    ),
    ({"api": {"autoscaling": {"enabled": True}}}, {"HorizontalPodAutoscaler/demo-stalk-api"}),
]


@pytest.mark.parametrize(
    ("values", "added"), OPTIONS, ids=lambda value: json.dumps(value) if isinstance(value, dict) else ""
)
def test_an_option_adds_its_object_alone(values: Values, added: set[str]) -> None:
    before, after = ({key(thing) for thing in render(these)} for these in ({}, values))
    assert after - before == added
    assert before - after == set()


@pytest.mark.parametrize("switch", ["networkPolicy", "pdb", "serviceAccount"])
def test_a_switch_for_all(switch: str) -> None:
    values: dict[str, dict[str, Any]] = {
        "networkPolicy": {"networkPolicy": {"enabled": False}},
        "pdb": {"podDefaults": {"pdb": {"enabled": False}}},
        "serviceAccount": {"podDefaults": {"serviceAccount": {"create": False}}},
    }
    kind = {"networkPolicy": "NetworkPolicy", "pdb": "PodDisruptionBudget", "serviceAccount": "ServiceAccount"}[switch]
    left = of_kind(render(values[switch]), kind)
    assert left == []


def test_beat_is_one_and_never_two() -> None:
    for part in ("beat", "flower", "steward"):
        deployment = find(render({"beat": {"enabled": True}}), "Deployment", f"demo-stalk-{part}")
        assert deployment["spec"]["replicas"] == 1
        assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_extra_objects_are_templates() -> None:
    thing = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-mine"},
        "data": {"host": '{{ include "stalk.fullname" . }}'},
    }
    (found,) = load(render_text({"extraObjects": [thing]})[EXTRA])
    assert found["metadata"]["name"] == "demo-mine"
    assert found["data"] == {"host": "demo-stalk"}


def test_image_digest_wins_and_the_tag_is_the_apps_version() -> None:
    digest = "sha256:" + "0" * 64
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    for values, image in (
        ({}, f"ghcr.io/stalk-celery/stalk:{version}"),
        ({"image": {"tag": "x"}}, "ghcr.io/stalk-celery/stalk:x"),
        ({"image": {"tag": "x", "digest": digest}}, f"ghcr.io/stalk-celery/stalk@{digest}"),
        ({"global": {"imageRegistry": "mirror/"}}, f"mirror/stalk-celery/stalk:{version}"),
    ):
        (api,) = (pod for pod in pods(render(values)) if str(pod) == "Deployment/demo-stalk-api")
        assert api.spec["containers"][0]["image"] == image


def test_the_credentials_job_runs_before_and_again_before_each_upgrade() -> None:
    for thing in of(render(), "credentials"):
        hooks = thing["metadata"]["annotations"]
        assert hooks["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert "before-hook-creation" in hooks["helm.sh/hook-delete-policy"]
    job = find(render(), "Job", "demo-stalk-credentials")["metadata"]["annotations"]
    others = [thing for thing in of(render(), "credentials") if thing["kind"] != "Job"]
    weights = {int(thing["metadata"]["annotations"]["helm.sh/hook-weight"]) for thing in others}
    assert max(weights) < int(job["helm.sh/hook-weight"])


def test_dead_letters_can_be_asked_for_in_the_api_pod_without_naming_app_and_queues() -> None:
    values = {
        "celery": {"app": "shop.celery:app"},
        "workers": {"default": {"queues": ["mail", "images"]}},
        "topology": {"extraQueues": ["later"]},
    }
    (container,) = find(render(values), "Deployment", "demo-stalk-api")["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["STALK_APP"] == "shop.celery:app"
    assert json.loads(environment["STALK_QUEUES"]) == ["images", "later", "mail"]
