"""Fixtures of the end-to-end tests: any cluster that KUBECONFIG names, with KEDA and metrics-server."""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from kubernetes import config

from e2e.harness import Release, lent, report
from e2e.timeline import Timeline

REPORTS = Path(__file__).parents[2] / "reports" / "e2e"


@pytest.fixture(scope="session")
def kube_config() -> str:
    """Give the file that names the cluster."""
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


@pytest.fixture(scope="session", autouse=True)
def _cluster(kube_config: str) -> None:
    config.load_kube_config(kube_config)


@pytest.fixture(scope="module")
def namespace(_cluster: None, kube_config: str) -> Iterator[str]:
    """Give a namespace of the module's own, which admits only restricted pods."""
    with lent("stalk-e2e", kube_config) as name:
        yield name


@pytest.fixture(scope="module")
def new_release(namespace: str, kube_config: str) -> Callable[..., Release]:
    """Give a maker of releases; the namespace's end is theirs."""

    def make(name: str = "stalk") -> Release:
        return Release(name, namespace, kube_config)

    return make


TIMELINE = pytest.StashKey[Timeline]()


@pytest.fixture(autouse=True)
def _timeline(request: pytest.FixtureRequest, namespace: str) -> Iterator[None]:
    timeline = request.node.stash[TIMELINE] = Timeline(namespace)
    yield
    timeline.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep events, logs and objects of a test that failed."""
    outcome = yield
    arguments = getattr(item, "funcargs", {})
    if outcome.failed and {"namespace", "kube_config"} <= arguments.keys():
        release = arguments.get("release") or Release("stalk", arguments["namespace"], arguments["kube_config"])
        folder = REPORTS / item.name
        report(release, folder)
        if TIMELINE in item.stash:
            item.stash[TIMELINE].write(folder / "timeline.csv")
        outcome.sections.append(("report", f"events, logs and objects: {folder}"))
    return outcome
