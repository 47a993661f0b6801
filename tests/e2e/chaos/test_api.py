"""The API's pods go, and releases are upgraded."""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from charting.rendering import merged
from e2e.chaos.faults import gone, rolled
from e2e.chaos.scenario import BASE, Chaos, Scenario
from e2e.harness import until
from e2e.images import LOAD, built, loaded
from e2e.released import ROOT

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

UPGRADE_SECONDS = 90
"""Of a task that shall still run when `helm upgrade` has told its pod to stop."""


def test_api_pod_deleted(chaos: Chaos) -> None:
    with chaos.scenario("the only API pod deleted", silent=True) as scenario:
        [pod] = chaos.release.pods("api")
        with scenario.fault():
            scenario.delete(str(pod.metadata.name))


def test_api_rolled(chaos: Chaos) -> None:
    with chaos.scenario("API rolled") as scenario, scenario.fault():
        rolled(chaos.release, "stalk-api")
        scenario.more_accepted(5)


def upgraded(chaos: Chaos, scenario: Scenario, values: Mapping[str, Any]) -> None:
    """Upgrade while a long task runs, whose pod is told to stop in the middle of it."""
    task_id = scenario.submit(seconds=UPGRADE_SECONDS)
    run = scenario.running(task_id)
    with scenario.fault():
        chaos.release.install(merged(BASE, values))
        # Helm may be content before the last of the old workers is told.
        until(lambda: run.host in chaos.leaving() or gone(chaos.release, run.host))
        first = scenario.runs(task_id)[0]
        scenario.expect(
            first.interrupted, f"the task ended before its pod was told to stop: nothing was proven: {first}"
        )


def test_upgrade_of_values(chaos: Chaos) -> None:
    with chaos.scenario("helm upgrade of values: every pod of the app is replaced") as scenario:
        upgraded(chaos, scenario, {"extraEnv": {"CHAOS_ROUND": "2"}})


def second_tag(chaos: Chaos) -> str | None:
    """Return the tag of a second image of the app in the cluster, built if need be; None where nobody says how."""
    tag = os.environ.get("STALK_CHAOS_IMAGE")
    if tag or not os.environ.get(LOAD):
        return tag or None
    chaos.bring({})
    name = str(chaos.release.pods("api")[0].spec.containers[0].image).partition("@")[0].rpartition(":")[0]
    built(f"{name}:chaos", ROOT / "images" / "Dockerfile", ROOT)
    loaded(f"{name}:chaos")
    return "chaos"


def test_upgrade_of_image(chaos: Chaos) -> None:
    title = "helm upgrade of image"
    tag = second_tag(chaos)
    if not tag:
        chaos.not_run(title, f"set STALK_CHAOS_IMAGE to the tag of a second image of the app, or {LOAD}")
    with chaos.scenario(title) as scenario:
        upgraded(chaos, scenario, {"image": {"tag": tag}})
