"""What scales the workers is away: tasks wait or run, and go on when it is back."""

import pytest

from e2e.chaos.faults import scaled_away, without_management
from e2e.chaos.scenario import Chaos
from e2e.harness import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

MEANWHILE = 60
"""Tasks of the steady load that come in while it is away: 20 s of it."""


def test_keda_operator_down(chaos: Chaos) -> None:
    with (
        chaos.scenario("KEDA's operator down") as scenario,
        scenario.fault(),
        scaled_away(chaos.release, "keda-operator"),
    ):
        scenario.more_accepted(MEANWHILE)


def test_keda_metrics_server_down(chaos: Chaos) -> None:
    with (
        chaos.scenario("KEDA's metrics server down") as scenario,
        scenario.fault(),
        scaled_away(chaos.release, "metrics-apiserver"),
    ):
        scenario.more_accepted(MEANWHILE)


def test_management_api_refusing(chaos: Chaos) -> None:
    with chaos.scenario("RabbitMQ's management API refusing") as scenario, scenario.fault():
        with without_management(chaos.release):
            until(lambda: chaos.release.condition("Fallback") == "True")
            scenario.more_accepted(MEANWHILE)
        until(lambda: chaos.release.condition("Fallback") == "False")
