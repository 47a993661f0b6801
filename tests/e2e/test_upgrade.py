"""`helm upgrade` while tasks come in: no request fails, no task is lost."""

from collections.abc import Callable

import pytest

from e2e.balanced import Load
from e2e.harness import QUICK, Release, until, wait_for_all

pytestmark = pytest.mark.timeout(600)

TWO = {"api": {"replicas": 2}}


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Release:
    made = new_release()
    made.install(QUICK, TWO, {"extraEnv": {"STEPS": "1"}})
    return made


def test_upgrade_under_load_fails_no_request_and_loses_no_task(release: Release) -> None:
    with Load(release) as load:
        until(lambda: len(load.accepted) > 20)
        rolled = {"podAnnotations": {"example.org/round": "2"}}
        release.install(release.values, {"api": rolled, "workerDefaults": rolled})
        release.install(release.values, {"api": {"resources": {"limits": {"memory": "400Mi"}}}})
        before = len(load.accepted)
        until(lambda: len(load.accepted) > before + 20)
    assert load.failed + load.unavailable == []
    with release.api() as api:
        wait_for_all(api, load.accepted, timeout=300)
