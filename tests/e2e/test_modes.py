"""The CPU autoscaler, and changing from one autoscaler to the other on a live release, with an app that is not ours."""

from collections.abc import Callable

import pytest

from charting.rendering import merged
from e2e.harness import Release, until
from e2e.mounted import mounted

pytestmark = pytest.mark.timeout(600)

VALUES = merged(
    mounted("burner"),
    {
        "workerDefaults": {
            "longestTaskSeconds": 40,
            "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "300m"}},
            "autoscaling": {
                "max": 3,
                "cpuUtilization": 50,
                "cooldownPeriod": 45,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            },
        },
        "workers": {"default": {"queues": ["burn"]}},
    },
)


def mode(name: str) -> dict[str, object]:
    return merged(VALUES, {"workerDefaults": {"autoscaling": {"mode": name}}})


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(mode("hpa"))
    return made


def burn(release: Release, number: int, seconds: int) -> None:
    """Send tasks as any Celery client does."""
    words = ["celery", "-A", "burner:app", "call", "burn", f"--args=[{seconds}]"]
    until(lambda: release.worker().status.ready_replicas)
    for _ in range(number):
        release.kubectl("exec", "deployment/stalk-worker-default", "--", *words)


def test_cpu_autoscaler_goes_up_under_work_and_back(release: Release) -> None:
    assert release.kubectl("get", "scaledobjects", "-o", "name") == ""
    assert (release.replicas(), list(release.autoscalers())) == (1, ["stalk-worker-default"])
    burn(release, 6, 30)
    until(lambda: release.worker().status.ready_replicas >= 2, timeout=240)
    until(lambda: release.worker().spec.replicas == 1, timeout=300)


def test_mode_changes_on_a_live_release(release: Release) -> None:
    release.install(mode("keda"))
    until(lambda: release.condition("Ready") == "True")
    until(lambda: list(release.autoscalers()) == ["keda-hpa-stalk-worker-default"])
    until(lambda: release.replicas() == 0)

    release.install(mode("hpa"))
    until(lambda: list(release.autoscalers()) == ["stalk-worker-default"])
    until(lambda: release.worker().status.ready_replicas)
    assert release.kubectl("get", "scaledobjects", "-o", "name") == ""

    release.install(mode("keda"))
    until(lambda: list(release.autoscalers()) == ["keda-hpa-stalk-worker-default"])
    until(lambda: release.replicas() == 0)
