"""The doctor on a laptop, where the API server answers for the release and never for what leads to its servers."""

import sys
import time
from pathlib import Path

import pytest

from kube.release import ServedRelease
from stalk.doctor import outside
from stalk.doctor.inside import Asked
from stalk.doctor.sources.kubernetes import Kubernetes
from stalk.doctor.sources.service_account import ServiceAccount

PASSWORD = {"valueFrom": {"secretKeyRef": {"name": "stalk-credentials", "key": "rabbitmq-password"}}}
KUBECTL = f"#!{sys.executable}\nprint('Forwarding from 127.0.0.1:1 -> 80', flush=True)\n"  # where nothing listens


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServedRelease:
    release = ServedRelease(tmp_path)
    release.named["secrets"]["stalk-credentials"] = {"rabbitmq-password": "of-the-app", "redis-password": "of-redis"}
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(outside, "REACH_SECONDS", 2.0)  # less than one request may take
    return release


@pytest.mark.parametrize(
    ("stalled", "said"),
    [
        ("secrets", ("broker, Redis and workers", "no answer in time")),
        ("triggerauthentications", ("the broker's management API", "no answer")),
    ],
)
def test_what_is_never_answered_holds_up_nothing(
    served: ServedRelease, monkeypatch: pytest.MonkeyPatch, stalled: str, said: tuple[str, str]
) -> None:
    served.stalled = {stalled}
    with served.in_this_process(monkeypatch):
        kubernetes, began = Kubernetes(ServiceAccount(served.namespace)), time.monotonic()
        report, _ = outside.examine_release(kubernetes, None, Asked(), began)
        took = time.monotonic() - began
    assert took < 15
    (why,) = [each.why for each in report.unchecked if each.what == said[0]]
    assert said[1] in why
    assert {"pods", "HPA", "scaler"} <= set(report.seen)
    assert ("API" in report.seen) is (stalled != "secrets")


def test_secrets_are_asked_for_at_once(served: ServedRelease, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"valueFrom": {"secretKeyRef": {"name": "of-redis", "key": "redis-password"}}}
    served.set_environment("stalk-api", BROKER_PASSWORD=PASSWORD, REDIS_PASSWORD=other)
    asked: list[str] = []
    with served.in_this_process(monkeypatch):
        kubernetes = Kubernetes(ServiceAccount(served.namespace))
        read = kubernetes.secret

        def noted(name: str) -> dict[str, str]:
            asked.append(name)
            return read(name)

        monkeypatch.setattr(kubernetes, "secret", noted)
        served.stalled = {"secrets"}
        outside.examine_release(kubernetes, None, Asked(), time.monotonic())
    assert {"stalk-credentials", "of-redis"} <= set(asked)


def test_without_services_no_name_is_called_missing(served: ServedRelease, monkeypatch: pytest.MonkeyPatch) -> None:
    served.set_environment("stalk-api", BROKER_PASSWORD=PASSWORD, REDIS_PASSWORD=PASSWORD)
    served.forbidden = {"services"}
    with served.in_this_process(monkeypatch):
        report, _ = outside.examine_release(
            Kubernetes(ServiceAccount(served.namespace)), None, Asked(), time.monotonic()
        )
    assert [each.id for each in report.findings] == []
    assert {"Services", "the broker", "Redis"} <= {each.what for each in report.unchecked}
