"""What `stalk plan` foretells of a burst, beside the same burst on the cluster."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import _burst, _planned, _starts
from bench._planned import Measured
from e2e.harness import Release, until

pytestmark = pytest.mark.timeout(480)

DATA = Path(__file__).parents[2] / "reports" / "plan.json"
TASKS, SECONDS, MOST, POLLING, COOLDOWN = 60, 2, 6, 5, 15
VALUES = {
    "flower": {"enabled": False},
    "extraEnv": {"STEPS": "1", "STEP_SECONDS": str(SECONDS)},
    "workerDefaults": {
        "longestTaskSeconds": 10,
        "autoscaling": {"mode": "keda", "max": MOST, "pollingInterval": POLLING, "cooldownPeriod": COOLDOWN},
    },
}


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(VALUES)
    return made


def test_a_burst_goes_as_planned(release: Release) -> None:
    until(lambda: release.condition("Ready") == "True")
    starts = _starts.by_keda(release, 2, POLLING)
    pod_start = statistics.median(sum(start.parts[1:]) for start in starts)
    burst = _burst.run(release, "keda", TASKS, least=0)
    measured = Measured(TASKS, SECONDS, MOST, POLLING, COOLDOWN, pod_start, burst)
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps(measured.to_json()))
    _planned.print_errors(measured)
    for each in _planned.compare(measured):
        assert abs(each.error) <= _planned.ERRORS[each.name] + _planned.BUSY, each
        assert each.may_come(_planned.BUSY), f"outside of what may come: {each}"
