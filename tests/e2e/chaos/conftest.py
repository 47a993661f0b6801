"""One release in one namespace for all scenarios of a run, and the report that they fill."""

import datetime
import json
from collections.abc import Iterator

import pytest
from kubernetes import client

from charting.rendering import CHART
from e2e.chaos.node import nodes_of
from e2e.chaos.report import FILE, Report, differing
from e2e.chaos.scenario import BASE, Chaos
from e2e.harness import Release, lent, of_this_cluster


@pytest.fixture(scope="session")
def namespace(_cluster: None, kube_config: str) -> Iterator[str]:
    """Give one namespace to all scenarios; it takes a minute to have a broker."""
    with lent("stalk-chaos", kube_config) as name:
        yield name


@pytest.fixture(scope="session")
def release(namespace: str, kube_config: str) -> Release:
    return Release("stalk", namespace, kube_config)


@pytest.fixture(scope="session")
def chaos(release: Release) -> Iterator[Chaos]:
    with nodes_of(release) as nodes:
        yield Chaos(release, Report(FILE, facts(release)), nodes)


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
