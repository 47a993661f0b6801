"""What docs/quickstart.md says of seconds and minutes follows from the values that the page installs with."""

import re

import yaml

from charting.objects import of_kind
from charting.rendering import render
from e2e.test_quickstart import PAGE, PROMISED
from snippets.blocks import ROOT

WORDS = {"one": 1, "two": 2, "three": 3}
POD_ENDS = 10
"""Seconds that an idle worker has to go."""


def scaler() -> dict[str, int]:
    """Return the ScaledObject's settings, with the words of the page's `make deploy-kind`."""
    (words,) = re.findall(r'^make deploy-kind HELM="--set workerDefaults\.(\w+=\d+)"$', PAGE.text, re.M)
    there_is_keda = {"autoscaling": {"mode": "keda"}}
    values = {"workerDefaults": yaml.safe_load(words.replace("=", ": ")) | there_is_keda}
    (found,) = of_kind(render(values), "ScaledObject")
    return {key: value for key, value in found["spec"].items() if isinstance(value, int)}


def test_the_pool_is_at_zero_within_what_the_page_promises() -> None:
    minutes = re.findall(r"Within (\w+) minutes? after", PAGE.text)
    assert len(minutes) == 2, "after the installation, and after the last task"
    spec = scaler()
    # KEDA notes the last activity at one look, and the end of the cooldown at another.
    needed = spec["cooldownPeriod"] + 2 * spec["pollingInterval"] + POD_ENDS
    assert {60 * WORDS[each] for each in minutes} == {PROMISED}
    assert needed <= PROMISED


def test_the_cooldown_and_the_look_are_the_charts() -> None:
    spec = scaler()
    assert f"the cooldown that the chart derives is {spec['cooldownPeriod']} s" in PAGE.text
    assert f"KEDA looks at the queue every {spec['pollingInterval']} seconds" in PAGE.text


def test_the_check_in_kind_waits_as_long_as_the_page_says() -> None:
    (minutes,) = re.findall(r"^zero_within=(\d+)m$", (ROOT / "ci/kind/check").read_text(encoding="utf-8"), re.M)
    assert 60 * int(minutes) == PROMISED


def test_the_workflow_deploys_with_the_words_of_the_page() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["e2e"]["steps"]
    (deploy,) = (step for step in steps if step.get("run") == "make deploy-kind")
    assert f'make deploy-kind HELM="{deploy["env"]["HELM"]}"' in PAGE.text
    runs = [step["run"] for step in steps if "run" in step]
    assert runs == ["make deploy-kind", "make check-kind", "make undeploy-kind", "make test-kind"]


def test_the_page_asks_for_the_kind_that_is_checked() -> None:
    versions = (ROOT / "ci/kind/versions").read_text(encoding="utf-8")
    (least,) = re.findall(r"^KIND_VERSION=(\d+\.\d+)\.", versions, re.M)
    assert f"[kind](https://kind.sigs.k8s.io) {least}+" in PAGE.text
