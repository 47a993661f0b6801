"""What Helm prints after an installation."""

from typing import Any

import pytest

from charting.cases import CASES
from charting.rendering import Values, render_text

NOTES = "templates/NOTES.txt"


def notes(values: Values | None = None, **options: Any) -> str:
    return render_text(values, **options)[NOTES]


def test_the_table_says_what_each_autoscaler_does() -> None:
    pools = {
        "a": {"queues": ["a", "b"], "concurrency": 4, "autoscaling": {"mode": "keda", "max": 7}},
        "b": {"queues": ["c"], "autoscaling": {"mode": "hpa", "cpuUtilization": 60}},
        "c": {"queues": ["d"], "autoscaling": {"mode": "none", "replicas": 3}},
        "default": None,
    }
    lines = [line.split() for line in notes({"workers": pools}).splitlines()]
    assert ["POOL", "MODE", "MIN", "MAX", "TARGET", "QUEUES"] in lines
    assert ["a", "keda", "0", "7", "4", "tasks", "a", "pod", "a,b"] in lines
    assert ["b", "hpa", "1", "10", "60", "%", "CPU", "c"] in lines
    assert ["c", "none", "3", "3", "-", "d"] in lines


def test_lines_to_paste() -> None:
    text = notes()
    assert "kubectl -n shop port-forward service/demo-stalk-api 8000:80\n" in text
    assert "kubectl -n shop port-forward service/demo-stalk-flower 5555:5555\n" in text
    assert (
        "kubectl -n shop get secret demo-stalk-credentials "
        """-o go-template='{{index .data "flower-password" | base64decode}}'\n"""
    ) in text
    assert "helm -n shop test demo\n" in text


def test_what_is_off_is_not_spoken_of() -> None:
    text = notes({"api": {"enabled": False}, "flower": {"enabled": False}})
    assert "port-forward" not in text
    assert "get secret" not in text


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({}, "RabbitMQ is the bundled single node"),
        ({}, "Redis is the bundled single node"),
        ({}, "this cluster has no KEDA"),
        (CASES["no-persistence"], "RabbitMQ has no volume (rabbitmq.persistence.enabled=false)"),
        (CASES["no-persistence"], "Redis has no volume (redis.persistence.enabled=false)"),
        (CASES["external-passwords-in-values"], "Passwords are in the values ("),
        ({"topology": {"enabled": False}}, "topology.enabled=false"),
        ({"networkPolicy": {"enabled": False}}, "networkPolicy.enabled=false"),
        ({"api": {"ingress": {"enabled": True}}}, "The Ingress of api has no TLS (api.ingress.tls)"),
        ({"flower": {"service": {"type": "LoadBalancer"}}}, "The load balancer of flower is open to everybody"),
        ({"workers": {"default": {"autoscaling": {"mode": "keda", "paused": True}}}}, "Pool default is paused"),
    ],
)
def test_warnings(values: Values, warning: str) -> None:
    assert warning in notes(values)


def test_no_warning_without_a_reason() -> None:
    assert "Not for production" in notes()
    assert "Not for production" not in notes(CASES["external"])


def test_no_password_is_printed() -> None:
    text = notes(CASES["external-passwords-in-values"])
    assert not any(secret in text for secret in ("p@ss", "q'", "not a template"))
