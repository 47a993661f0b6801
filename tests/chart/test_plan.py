"""What `stalk plan` takes from the chart's values, and what it gives back."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from charting.objects import find, of_kind
from charting.rendering import RELEASE, Object, defaults, merged, render
from stalk.plan.candidates import BEHAVIORS, Axes, candidates
from stalk.plan.pools import Pool, Site, named
from stalk.plan.values import lines

SCALE = Path(__file__).parents[2] / "docs" / "scale.md"


KEDA = {"workerDefaults": {"autoscaling": {"mode": "keda"}}}


def scaled_object(values: dict[str, Any]) -> Object:
    (found,) = of_kind(render(merged(KEDA, values)), "ScaledObject")
    spec: Object = found["spec"]
    return spec


def test_defaults_are_the_charts() -> None:
    values = defaults()
    pool = merged(values["workerDefaults"], values["workers"]["default"])
    assert named("default", pool, "values.yaml") == Pool()
    assert values["rabbitmq"]["statisticsSeconds"] == Site.statistics
    assert values["steward"]["enabled"] == Site.idle_first


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"longestTaskSeconds": 60},
        {"longestTaskSeconds": 60, "terminationGracePeriodSeconds": 100},
        {"longestTaskSeconds": 60, "interruptible": True},
        {"longestTaskSeconds": 5, "interruptible": True, "softShutdownSeconds": 100},
        {"autoscaling": {"cooldownPeriod": 700}, "concurrency": 3},
        {"concurrency": 4, "autoscaling": {"tasksPerSlot": 3, "min": 2}},
    ],
)
def test_what_follows_from_the_values_follows_as_in_the_chart(values: dict[str, Any]) -> None:
    spec = scaled_object({"workers": {"default": values}})
    pool = named("default", {"queues": ["a"]} | values, "values.yaml")
    assert spec["cooldownPeriod"] == pool.cooldown_seconds
    assert spec["pollingInterval"] == pool.polling
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (pool.least, pool.most)
    assert spec["triggers"][0]["metadata"]["value"] == str(pool.target)
    worker = find(
        render(merged(KEDA, {"workers": {"default": values}})), "Deployment", f"{RELEASE}-stalk-worker-default"
    )
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == pool.grace_seconds


# The first is the pool itself; the rest has each setting in every value that is tried.
CANDIDATES = candidates(Pool(concurrency=4, most=7, cooldown=1234), Axes(behavior=[*BEHAVIORS]))


@pytest.mark.parametrize("pool", CANDIDATES)
def test_values_of_each_candidate_are_the_charts(pool: Pool) -> None:
    """The schema takes them (render checks it), and the objects are what was simulated."""
    values = yaml.safe_load(lines([(Pool(), pool)]))
    spec = scaled_object(values)
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (pool.least, pool.most)
    assert (spec["pollingInterval"], spec["cooldownPeriod"]) == (pool.polling, pool.cooldown_seconds)
    assert spec["triggers"][0]["metadata"]["value"] == str(pool.target)
    assert spec["advanced"].get("horizontalPodAutoscalerConfig", {}).get("behavior", {}) == pool.behavior


def test_values_of_a_pool_of_fixed_size() -> None:
    pool = Pool(mode="none", replicas=3, concurrency=2)
    objects = render(yaml.safe_load(lines([(pool, pool)])))
    assert of_kind(objects, "ScaledObject") == []
    (worker,) = (each for each in of_kind(objects, "Deployment") if each["metadata"]["name"].endswith("worker-default"))
    assert worker["spec"]["replicas"] == 3


def test_a_behavior_is_taken_back() -> None:
    had = {"scaleDown": {"stabilizationWindowSeconds": 5}}
    values = yaml.safe_load(lines([(Pool(behavior=had), Pool())]))
    spec = scaled_object(merged({"workers": {"default": {"autoscaling": {"behavior": had}}}}, values))
    assert "horizontalPodAutoscalerConfig" not in spec["advanced"]


def test_values_of_docs_scale() -> None:
    """What the document says to paste is the chart's, and takes the bundled servers away."""
    (block,) = re.findall(r"```yaml\n(.*?)```", SCALE.read_text(encoding="utf-8"), re.DOTALL)
    values = yaml.safe_load(block)
    assert of_kind(render(values), "StatefulSet") == []
    spec = scaled_object(values)
    assert spec["pollingInterval"] == values["workerDefaults"]["autoscaling"]["pollingInterval"]
