"""What another version of the chart changes, and what it must not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from charting.cases import CASES
from charting.objects import Pods, component, key, of_kind, pods
from charting.rendering import CHART, Object, render

IMMUTABLE = {
    "Deployment": ("selector",),
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
}
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
PINNED = {"image": {"tag": "1"}, "toolkit": {"image": {"tag": "1"}}}


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("next") / "stalk"
    shutil.copytree(CHART, folder)
    about = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
    about |= {"version": "99.0.0", "appVersion": "99.0.0"}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")
    return folder


def templates(objects: list[Object]) -> dict[str, tuple[Any, ...]]:
    # The pod of `helm test` is made anew each time.
    return {str(pod): (pod.labels, pod.annotations, pod.spec) for pod in pods(objects) if pod.owner["kind"] != "Pod"}


@pytest.mark.parametrize("case", CASES)
def test_a_new_version_restarts_nothing_by_itself(case: str, next_version: Path) -> None:
    values = {**CASES[case], **PINNED}
    now, then = render(values), render(values, chart=next_version)
    assert templates(then) == templates(now)
    assert [key(thing) for thing in then] == [key(thing) for thing in now], "the topology Job keeps its name too"


def images(pod: Pods) -> set[str]:
    return {container["image"] for container in [*pod.spec.get("initContainers", []), *pod.spec["containers"]]}


def test_a_new_app_changes_the_images_alone(next_version: Path) -> None:
    now = {component(pod.owner): pod for pod in pods(render())}
    then = {component(pod.owner): pod for pod in pods(render(chart=next_version))}
    assert images(then["worker"]) == {"ghcr.io/stalk-celery/stalk:99.0.0"}
    for name, pod in now.items():
        if pod.owner["kind"] == "Pod":
            continue
        assert str(pod.spec).replace(f":{VERSION}", ":99.0.0") == str(then[name].spec)
        assert (pod.labels, pod.annotations) == (then[name].labels, then[name].annotations)


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_changed_is_not(case: str, next_version: Path) -> None:
    values = {**CASES[case], **PINNED}  # rendered for the test above
    now, then = render(values), render(values, chart=next_version)
    for old, new in zip(now, then, strict=True):
        for field in IMMUTABLE.get(old["kind"], ()):
            assert old["spec"].get(field) == new["spec"].get(field), key(old)


def test_a_change_of_configuration_restarts_the_server_alone() -> None:
    before = templates(render())
    after = templates(render({"rabbitmq": {"extraConfig": "heartbeat = 30"}}))
    assert [name for name in before if before[name] != after[name]] == ["StatefulSet/demo-stalk-rabbitmq"]


def test_a_new_password_in_the_values_restarts_who_uses_it() -> None:
    def with_password(password: str) -> dict[str, Any]:
        return {"redis": {"enabled": False}, "externalRedis": {"host": "redis", "password": password}}

    before, after = templates(render(with_password("a"))), templates(render(with_password("b")))
    changed = {name.rpartition("-")[2] for name in before if name in after and before[name] != after[name]}
    assert {"api", "flower", "default"} <= changed
    assert not {"rabbitmq", "credentials", "test"} & changed


def test_commonlabels_are_in_no_selector() -> None:
    for thing in of_kind(render({"commonLabels": {"team": "blue"}}), "Deployment", "StatefulSet", "Service"):
        selector = thing["spec"]["selector"]
        assert "team" not in selector.get("matchLabels", selector)
