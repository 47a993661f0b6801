"""`stalk doctor` as a part of `helm test`: what it is told, what it may see, and that nothing of it stays."""

from typing import Any

import pytest

from charting.cases import EXTERNAL
from charting.objects import component, find, of_kind
from charting.rendering import Object, Values, render

NAME = "demo-stalk-doctor"
ONE_QUEUE = {"workers": {"default": {"queues": ["mail"]}}}


def command(values: Values) -> list[str]:
    words: list[str] = find(render(values), "Pod", NAME)["spec"]["containers"][0]["command"]
    return words


def environment(values: Values) -> dict[str, Any]:
    (container,) = find(render(values), "Pod", NAME)["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def rules(values: Values | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = find(render(values or {}), "Role", NAME)["rules"]
    return found


def test_it_is_told_the_release_its_queues_and_its_api() -> None:
    start = ["stalk", "doctor", "--in-cluster", "--release", "demo", "--fail-on", "error", "--wait", "9"]
    values = ONE_QUEUE | {"test": {"doctor": {"waitSeconds": 9}}}
    assert command(values) == [*start, "--queue", "mail", "--url", "http://demo-stalk-api:80"]
    assert command(values | {"api": {"enabled": False}}) == [*start, "--queue", "mail"]


def test_queues_that_no_pool_works_on_are_not_its_business() -> None:
    assert "elsewhere" not in command(ONE_QUEUE | {"topology": {"extraQueues": ["elsewhere"]}})


def test_it_sees_the_servers_as_the_api_does_and_queue_lengths_as_keda_does() -> None:
    found, api = environment({}), find(render(), "Deployment", "demo-stalk-api")
    (container,) = api["spec"]["template"]["spec"]["containers"]
    theirs = {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
    same = {name: value for name, value in theirs.items() if name.startswith(("BROKER_", "REDIS_"))}
    assert same.items() <= found.items()
    assert found["BROKER_MANAGEMENT_URL"] == "http://demo-stalk-rabbitmq.shop.svc:15672"
    assert found["BROKER_MANAGEMENT_USER"] == "stalk-monitor"
    assert environment(EXTERNAL)["BROKER_MANAGEMENT_PASSWORD"]["secretKeyRef"]["name"] == "my-monitor"


def test_it_may_look_and_nothing_else() -> None:
    for rule in rules():
        assert set(rule["verbs"]) <= {"get", "list"}, rule
        assert "secrets" not in rule["resources"], rule
    (config,) = (rule for rule in rules() if "configmaps" in rule["resources"])
    assert config["resourceNames"] == ["demo-stalk-rabbitmq"]
    assert not any("configmaps" in rule["resources"] for rule in rules(EXTERNAL))


def of_the_doctor(objects: list[Object]) -> list[Object]:
    return [thing for thing in objects if component(thing) == "doctor"]


def test_all_of_it_is_there_for_the_test_alone() -> None:
    found = of_the_doctor(render())
    assert len(found) == 5
    for thing in found:
        annotations = thing["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "test", thing["kind"]
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded", thing["kind"]


@pytest.mark.parametrize("name", [NAME, "demo-stalk-test"])
def test_helm_prints_what_its_pods_say(name: str) -> None:
    annotations = find(render(), "Pod", name)["metadata"]["annotations"]
    assert annotations["helm.sh/hook-output-log-policy"] == "hook-succeeded,hook-failed"


def test_its_rights_are_there_before_it_is_and_it_ends_before_the_round_trip() -> None:
    objects = render()
    weights = {
        thing["kind"]: int(thing["metadata"]["annotations"]["helm.sh/hook-weight"]) for thing in of_the_doctor(objects)
    }
    pod = weights.pop("Pod")
    assert max(weights.values()) < pod
    round_trip = find(objects, "Pod", "demo-stalk-test")["metadata"]["annotations"]["helm.sh/hook-weight"]
    assert pod < int(round_trip)


def test_its_rights_are_never_those_of_the_default_account() -> None:
    objects = render({"podDefaults": {"serviceAccount": {"create": False}}})
    assert of_the_doctor(objects) == []


def test_it_is_there_without_an_api() -> None:
    assert len(of_the_doctor(render({"api": {"enabled": False}}))) == 5


@pytest.mark.parametrize("mode", ["keda", "hpa", "none"])
def test_a_pool_says_how_it_is_scaled(mode: str) -> None:
    objects = render({"workers": {"default": {"autoscaling": {"mode": mode}}}})
    (pool,) = (thing for thing in of_kind(objects, "Deployment") if component(thing) == "worker")
    assert pool["metadata"]["annotations"] == {"stalk/autoscaling": mode}
