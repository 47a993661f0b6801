"""How long a worker's goodbye may take."""

import time

import pytest

from stalk.celery.shutdown import leave_after


@pytest.mark.parametrize("ago", [0, 1.5])
def test_it_ends_within_what_the_chart_leaves_until_sigkill(ago: float) -> None:
    """The helper `stalk.goodbye` of the chart: 10 s after `SHUTDOWN_SECONDS`, counted from the signal."""
    timer = leave_after(time.monotonic() - ago, 30)
    assert timer is not None
    timer.cancel()
    assert 30 < timer.interval + ago < 30 + 10


def test_without_a_limit_there_is_none() -> None:
    assert leave_after(time.monotonic(), None) is None
