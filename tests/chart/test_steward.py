"""The steward: where there is one, what it may do, and whom it looks after."""

from typing import Any

import pytest

from charting.objects import component, containers, find, of_kind, pods
from charting.rendering import Object, Values, render
from stalk.cli import _parser


def pool(**autoscaling: Any) -> dict[str, Any]:
    return {"workers": {"default": {"autoscaling": autoscaling}}}


@pytest.mark.parametrize(
    ("values", "there"),
    [
        ({}, True),
        (pool(mode="keda"), True),
        (pool(mode="keda", max=2), True),
        (pool(mode="keda", max=1), False),
        (pool(mode="hpa", max=1), False),
        (pool(mode="none"), False),
        (pool(mode="none", replicas=2), True),
        (pool(mode="keda", replicas=5, max=1), False),
        ({"workers": {"default": {"enabled": False}}}, False),
        ({"workers": {"default": None}}, False),
        ({"workers": {"default": {"autoscaling": {"max": 1}}, "other": {"queues": ["b"]}}}, True),
        ({"workerDefaults": {"autoscaling": {"max": 1}}}, False),
    ],
    ids=str,
)
def test_only_where_there_is_a_pod_to_choose(values: Values, there: bool) -> None:
    assert any(component(thing) == "steward" for thing in render(values)) is there


def deployment(values: Values | None = None) -> dict[str, Any]:
    found: dict[str, Any] = find(render(values), "Deployment", "demo-stalk-steward")["spec"]["template"]["spec"]
    return found


def test_it_may_do_its_work_and_no_more(objects: list[Object]) -> None:
    for role in (role for role in of_kind(objects, "Role") if component(role) == "steward"):
        assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "patch"]}]


def looked_after(objects: list[Object]) -> set[str]:
    """Return the owners of the pods that the steward may write to, by name."""
    (steward,) = (pod for pod in pods(objects) if component(pod.owner) == "steward")
    selector = _parser().parse_args(containers(steward)[0]["command"][1:]).selector
    return {str(pod.owner["metadata"]["name"]) for pod in pods(objects) if selector.matches(pod.labels)}


def test_it_looks_after_pools_that_may_have_two_pods() -> None:
    def pools(**most: dict[str, Any]) -> Values:
        queues = {name: {"queues": [name], "autoscaling": autoscaling} for name, autoscaling in most.items()}
        return {"workers": {"default": None} | queues}

    one, two, three = {"max": 1}, {"max": 2}, {"mode": "none", "replicas": 3}
    assert looked_after(render(pools(a=one, b=two))) == {"demo-stalk-worker-b"}
    found = looked_after(render(pools(a=three, b=one, c=two, d={"mode": "none", "replicas": 1, "max": 9})))
    assert found == {"demo-stalk-worker-a", "demo-stalk-worker-c"}


def test_its_selector_is_workers_of_the_release_and_nobody_else(objects: list[Object]) -> None:
    everybody = pods(objects)
    for pod in (pod for pod in everybody if component(pod.owner) == "steward"):
        (container,) = containers(pod)
        selector = _parser().parse_args(container["command"][1:]).selector
        assert {component(other.owner) for other in everybody if selector.matches(other.labels)} == {"worker"}
        assert selector.wanted["app.kubernetes.io/instance"] == {"demo"}


def test_it_knows_the_broker_and_nothing_more() -> None:
    names = {entry["name"] for entry in deployment()["containers"][0]["env"]}
    broker = {f"BROKER_{part}" for part in ("HOST", "PORT", "VHOST", "USER", "PASSWORD")}
    assert names == broker | {"LOG_LEVEL", "LOG_FORMAT"}


def test_it_runs_the_toolkits_image() -> None:
    values = {"image": {"tag": "app"}, "toolkit": {"image": {"tag": "kit"}}}
    assert deployment(values)["containers"][0]["image"] == "ghcr.io/stalk-celery/stalk:kit"
