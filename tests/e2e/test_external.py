"""The same chart with a RabbitMQ and a Redis that somebody else runs."""

from collections.abc import Callable
from typing import Any

import pytest

from e2e.harness import QUICK, Release, submit, until, wait_for_all

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def servers(new_release: Callable[..., Release]) -> Release:
    """Give a release of nothing but RabbitMQ and Redis, in the role of the company's own."""
    made = new_release("servers")
    off = {"enabled": False}
    # The other release is a stranger, whom the policies of this one must let in.
    open_: dict[str, Any] = {"networkPolicy": {"extraIngress": [{"from": [{"podSelector": {}}]}]}}
    servers = {"rabbitmq": open_, "redis": open_}
    made.install(servers, {"api": off, "flower": off, "topology": off, "workers": {"default": None}})
    return made


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release], servers: Release) -> Release:
    made = new_release()
    credentials = f"{servers.fullname}-credentials"
    outside = {
        "rabbitmq": {"enabled": False},
        "externalRabbitmq": {
            "host": f"{servers.fullname}-rabbitmq",
            "username": "stalk",
            "existingSecret": credentials,
            "passwordKey": "rabbitmq-password",
            "management": {
                "url": f"http://{servers.fullname}-rabbitmq.{made.namespace}.svc:15672",
                "username": "stalk-monitor",
                "existingSecret": credentials,
                "passwordKey": "rabbitmq-monitor-password",
            },
        },
        "redis": {"enabled": False},
        "externalRedis": {
            "host": f"{servers.fullname}-redis",
            "existingSecret": credentials,
            "passwordKey": "redis-password",
        },
    }
    made.install(QUICK, outside)
    return made


def test_scales_and_works_on_external_servers(release: Release) -> None:
    assert "statefulset" not in release.kubectl(
        "get", "statefulsets", "-l", "app.kubernetes.io/instance=stalk", "-o", "name"
    )
    until(lambda: release.condition("Ready") == "True")
    until(lambda: release.replicas() == 0)
    with release.api() as api:
        wait_for_all(api, [submit(api)])
    until(lambda: release.replicas() == 0)
