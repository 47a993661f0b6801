"""The API's pods go, and releases are upgraded."""

import os

import pytest

from charting.rendering import merged
from e2e.chaos.faults import delete_pod, rolled
from e2e.chaos.scenario import BASE, Chaos

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]


def test_api_pod_deleted(chaos: Chaos) -> None:
    with chaos.scenario("the only API pod deleted", silent=True) as scenario:
        [pod] = chaos.release.pods("api")
        with scenario.fault():
            delete_pod(chaos.release, str(pod.metadata.name))


def test_api_rolled(chaos: Chaos) -> None:
    with chaos.scenario("API rolled") as scenario, scenario.fault():
        rolled(chaos.release, "stalk-api")
        scenario.more_accepted(5)


def test_upgrade_of_values(chaos: Chaos) -> None:
    with chaos.scenario("helm upgrade of values: every pod of the app is replaced") as scenario:
        scenario.running(scenario.submit(seconds=20))
        with scenario.fault():
            chaos.release.install(merged(BASE, {"extraEnv": {"CHAOS_ROUND": "2"}}))


def test_upgrade_of_image(chaos: Chaos) -> None:
    title = "helm upgrade of image"
    tag = os.environ.get("STALK_CHAOS_IMAGE")
    if not tag:
        chaos.not_run(title, "set STALK_CHAOS_IMAGE to the tag of a second image of the app")
    with chaos.scenario(title) as scenario:
        scenario.running(scenario.submit(seconds=20))
        with scenario.fault():
            chaos.release.install(merged(BASE, {"image": {"tag": tag}}))
