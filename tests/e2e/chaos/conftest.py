"""One release in one namespace for all scenarios of a run, and the report that they fill."""

import datetime
import json
from collections.abc import Iterator, Sequence

import pytest
from kubernetes import client

from charting.rendering import CHART
from e2e.chaos.node import nodes_of
from e2e.chaos.report import SUITE, Report, differing, file_of
from e2e.chaos.scenario import BASE, Chaos
from e2e.harness import Release, lent, of_this_cluster

LEFT_OUT = pytest.StashKey[bool]()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == SUITE:
            item.config.stash[LEFT_OUT] = True


@pytest.fixture(scope="session")
def namespace(_cluster: None, kube_config: str) -> Iterator[str]:
    """Give one namespace to all scenarios; it takes a minute to have a broker."""
    with lent("stalk-chaos", kube_config) as name:
        yield name


@pytest.fixture(scope="session")
def release(namespace: str, kube_config: str) -> Release:
    return Release("stalk", namespace, kube_config)


@pytest.fixture(scope="session")
def chaos(release: Release, request: pytest.FixtureRequest) -> Iterator[Chaos]:
    running, config = [item.path for item in request.session.items], request.config
    file = file_of(running, config.stash.get(LEFT_OUT, False), config.args)
    with nodes_of(release) as nodes:
        yield Chaos(release, Report(file, facts(release)), nodes)


def facts(release: Release) -> list[str]:
    """Return what a reader must know of the system under test."""
    version = json.loads(release.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    nodes = client.CoreV1Api().list_node().items
    chart = next(line for line in (CHART / "Chart.yaml").read_text().splitlines() if line.startswith("version:"))
    return [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        f"chart {chart}; Kubernetes {version}, {len(nodes)} node{'s'[: len(nodes) != 1]}",
        f"every scenario adds to the defaults: {differing(BASE)}",
        f"this cluster adds: {differing(of_this_cluster()) or 'nothing'}",
    ]
