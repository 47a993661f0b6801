"""Each alert fires when it should, keeps still when it should not, and has a page that says what to do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from charting.cases import CASES, EXTERNAL
from charting.prometheus import promtool, rule_groups, rules
from charting.rendering import CHART, Object, Values, merged, render

RUNBOOKS = CHART.parents[1] / "docs" / "runbooks"
PARTS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
OWN = 'namespace="shop",stalk_release="demo"'
OTHER = 'namespace="shop",stalk_release="other"'
READY, UNACKED, CONSUMERS, ALL = (
    f"rabbitmq_detailed_queue_{name}" for name in ("messages_ready", "messages_unacked", "consumers", "messages")
)
ON: dict[str, Any] = {
    "metrics": {"enabled": True},
    "workers": {"default": {"queues": ["mail", "a.b"], "autoscaling": {"mode": "keda", "max": 3}}},
}
BROKER = {
    "metrics": {"enabled": True},
    "externalRabbitmq": {"metricsLabels": {"cluster": "prod"}},
    "workers": {"default": {"queues": ["mail"]}},
}


@dataclass(frozen=True)
class Case:
    """Samples of one a minute, and what fires at the end of them."""

    name: str
    alert: str
    series: Mapping[str, str]
    at: str
    fires: list[dict[str, str]] = field(default_factory=list)
    """Labels beside those of the release; without any the alert keeps still."""
    values: Values = field(default_factory=lambda: ON)


def queue(metric: str, labels: str = OWN, name: str = "mail") -> str:
    return f'{metric}{{{labels},vhost="/",queue="{name}"}}'


def events(kind: str, worker: str = "a", labels: str = OWN) -> str:
    return f'flower_events_total{{{labels},worker="{worker}",type="task-{kind}",task="t"}}'


def waits(fast: str, slow: str, labels: str = OWN) -> dict[str, str]:
    """Return a histogram of tasks that waited 1 s and, of them all, those that waited up to half an hour."""
    buckets = {"1.0": fast, "300.0": fast, "1800.0": slow, "+Inf": slow}
    return {
        f'stalk_task_wait_seconds_bucket{{{labels},queue="mail",le="{le}"}}': samples for le, samples in buckets.items()
    }


def backlog(ready: str, consumers: str, labels: str = OWN) -> dict[str, str]:
    return {queue(READY, labels): ready, queue(CONSUMERS, labels): consumers}


def targets(up: str, detailed: str = "") -> dict[str, str]:
    """Return `up` of every endpoint; RabbitMQ has two, and the queues are in the second one alone."""
    found = {f'up{{{OWN},service="demo-stalk-{name}"}}': up for name in ("exporter", "flower", "rabbitmq")}
    path = DETAILED["metrics_path"]
    return found | {f'up{{{OWN},service="demo-stalk-rabbitmq",metrics_path="{path}"}}': detailed or up}


def other_pods(up: str) -> dict[str, str]:
    return {name.replace("}", ',pod="old"}'): up for name in targets(up)}


def dependency(name: str, samples: str, labels: str = OWN) -> dict[str, str]:
    return {f'stalk_dependency_up{{{labels},dependency="{name}"}}': samples}


def alarm(kind: str, samples: str, labels: str = OWN) -> dict[str, str]:
    return {f"rabbitmq_alarms_{kind}_watermark{{{labels}}}": samples}


def volume(free: str, claim: str = "data-demo-stalk-rabbitmq-0", namespace: str = "shop") -> dict[str, str]:
    labels = f'{{namespace="{namespace}",persistentvolumeclaim="{claim}"}}'
    return {
        f"kubelet_volume_stats_available_bytes{labels}": free,
        f"kubelet_volume_stats_capacity_bytes{labels}": "100x60",
    }


def refused(samples: str, labels: str = OWN) -> dict[str, str]:
    return {f'stalk_tasks_refused_total{{{labels},dependency="broker"}}': samples}


def scaler(samples: str, namespace: str, scaled_object: str = "demo-stalk-worker-default") -> dict[str, str]:
    return {f'keda_scaled_object_errors_total{{{namespace},scaledObject="{scaled_object}"}}': samples}


WARNING = {"severity": "warning"}
CRITICAL = {"severity": "critical"}
MAIL = {"queue": "mail"}
DEAD = {"queue": "mail.dead-letters"}
DETAILED = {"component": "rabbitmq", "metrics_path": "/metrics/detailed"}
TARGETS = [*({"component": name} for name in ("exporter", "flower", "rabbitmq")), DETAILED]
FIXED = {"workers": {"big": {"autoscaling": {"mode": "none", "replicas": 2, "max": 10}}}}
BIG = {"queues": ["mail"], "concurrency": 8, "autoscaling": {"mode": "keda", "max": 10}}
SHARED = merged(ON, {"workers": {"big": BIG}})
"""Two pools work on `mail`, with 3 and 10 pods at most, and one of them on `a.b` as well."""
CASES_OF_ALERTS = [
    Case("nobody-comes", "StalkQueueWithoutWorkers", backlog("5x60", "0x60"), "6m", [CRITICAL | MAIL]),
    Case("not-yet", "StalkQueueWithoutWorkers", backlog("5x60", "0x60"), "4m"),
    Case("at-zero", "StalkQueueWithoutWorkers", backlog("0x60", "0x60"), "30m"),
    Case("one-came", "StalkQueueWithoutWorkers", backlog("5x60", "0 0 0 1x60"), "30m"),
    Case("of-another-release", "StalkQueueWithoutWorkers", backlog("5x60", "0x60", OTHER), "30m"),
    Case(
        "slow-nodes",
        "StalkQueueWithoutWorkers",
        backlog("5x60", "0x60"),
        "8m",
        values=merged(ON, {"metrics": {"rules": {"workersStartSeconds": 600}}}),
    ),
    Case("one", "StalkDeadLetters", {queue(ALL, name="mail.dead-letters"): "0x4 1x60"}, "7m", [WARNING | DEAD]),
    Case("none", "StalkDeadLetters", {queue(ALL, name="mail.dead-letters"): "0x60", queue(ALL): "9x60"}, "30m"),
    # `.` stands for itself: a queue that only looks alike is somebody else's.
    Case("alike", "StalkDeadLetters", {queue(ALL, name="aXb.dead-letters"): "9x60"}, "30m"),
    Case(
        "with-a-dot",
        "StalkDeadLetters",
        {queue(ALL, name="a.b.dead-letters"): "9x60"},
        "30m",
        [WARNING | {"queue": "a.b.dead-letters"}],
    ),
    Case("slow", "StalkWaitTooLong", waits("0x60", "0+10x60"), "30m", [WARNING | MAIL]),
    Case("fast", "StalkWaitTooLong", waits("0+10x60", "0+10x60"), "30m"),
    Case("nothing-starts", "StalkWaitTooLong", waits("7x60", "90x60"), "30m"),
    Case("of-another-release", "StalkWaitTooLong", waits("0x60", "0+10x60", OTHER), "30m"),
    Case(
        "slow-is-fine",
        "StalkWaitTooLong",
        waits("0x60", "0+10x60"),
        "30m",
        values=merged(ON, {"metrics": {"rules": {"waitSeconds": 3000}}}),
    ),
    Case("at-its-limit", "StalkBacklogGrowing", backlog("0+5x60", "3x60"), "40m", [WARNING | {"pool": "default"}]),
    Case("below-its-limit", "StalkBacklogGrowing", backlog("0+5x60", "2x60"), "40m"),
    Case("shared-and-below", "StalkBacklogGrowing", backlog("0+5x60", "12x60"), "40m", values=SHARED),
    Case(
        "shared-and-at-its-limit",
        "StalkBacklogGrowing",
        backlog("0+5x60", "13x60"),
        "40m",
        [WARNING | {"pool": name} for name in ("default", "big")],
        SHARED,
    ),
    # What only one of them works on tells that this one is at its limit.
    Case(
        "one-of-two-at-its-limit",
        "StalkBacklogGrowing",
        backlog("0+5x60", "4x60") | {queue(CONSUMERS, name="a.b"): "3x60"},
        "40m",
        [WARNING | {"pool": "default"}],
        SHARED,
    ),
    Case("fixed-and-below", "StalkBacklogGrowing", backlog("0+5x60", "4x60"), "40m", values=merged(SHARED, FIXED)),
    Case(
        "fixed-and-at-its-limit",
        "StalkBacklogGrowing",
        backlog("0+5x60", "5x60"),
        "40m",
        [WARNING | {"pool": name} for name in ("default", "big")],
        merged(SHARED, FIXED),
    ),
    Case("drains", "StalkBacklogGrowing", backlog("600-5x60", "3x60"), "40m"),
    Case("stands", "StalkBacklogGrowing", backlog("600x60", "3x60"), "40m"),
    Case("refused", "StalkTasksRefused", refused("0x10 1+1x20"), "15m", [WARNING | {"dependency": "broker"}]),
    Case("long-ago", "StalkTasksRefused", refused("0x3 9x60"), "20m"),
    Case("of-another-release", "StalkTasksRefused", refused("0x10 1+1x20", OTHER), "15m"),
    Case("away", "StalkBrokerDown", dependency("broker", "1x5 0x60"), "10m", [CRITICAL]),
    Case("there", "StalkBrokerDown", dependency("broker", "1x60") | dependency("results", "0x60"), "10m"),
    Case("restarts", "StalkBrokerDown", dependency("broker", "1x5 0 1x60"), "7m"),
    Case("of-another-release", "StalkBrokerDown", dependency("broker", "0x60", OTHER), "10m"),
    Case("away", "StalkResultsDown", dependency("results", "1x5 0x60"), "10m", [CRITICAL]),
    Case("there", "StalkResultsDown", dependency("results", "1x60") | dependency("broker", "0x60"), "10m"),
    # A worker that has just come begins to count at 1, with its first failure.
    Case(
        "new-workers",
        "StalkTaskFailures",
        {events("failed", worker): f"_x{i} 1x60" for i, worker in enumerate("abcdefghij")},
        "9m",
        [WARNING | {"task": "t"}],
    ),
    Case(
        "often",
        "StalkTaskFailures",
        {events("failed"): "0+2x60", events("succeeded"): "0+8x60"},
        "20m",
        [WARNING | {"task": "t"}],
    ),
    Case("seldom", "StalkTaskFailures", {events("failed"): "0+2x60", events("succeeded"): "0+80x60"}, "20m"),
    Case("long-ago", "StalkTaskFailures", {events("failed"): "50x60", events("succeeded"): "0+1x60"}, "20m"),
    Case("a-few", "StalkTaskFailures", {events("failed"): "0x10 4x60"}, "12m"),
    Case("of-another-release", "StalkTaskFailures", {events("failed", labels=OTHER): "0+9x60"}, "20m"),
    Case(
        "may-fail",
        "StalkTaskFailures",
        {events("failed"): "0+2x60", events("succeeded"): "0+8x60"},
        "20m",
        values=merged(ON, {"metrics": {"rules": {"failureRatio": 0.5}}}),
    ),
    Case("memory", "StalkRabbitmqAlarm", alarm("memory_used", "0 1x60"), "5m", [CRITICAL | {"alarm": "memory"}]),
    Case("disk", "StalkRabbitmqAlarm", alarm("free_disk_space", "0 1x60"), "5m", [CRITICAL | {"alarm": "disk"}]),
    Case("no-alarm", "StalkRabbitmqAlarm", alarm("memory_used", "0x60") | alarm("free_disk_space", "0x60"), "5m"),
    Case("of-another-release", "StalkRabbitmqAlarm", alarm("memory_used", "1x60", OTHER), "5m"),
    Case(
        "full",
        "StalkVolumeFilling",
        volume("15x60"),
        "15m",
        [WARNING | {"persistentvolumeclaim": "data-demo-stalk-rabbitmq-0"}],
    ),
    Case("room", "StalkVolumeFilling", volume("25x60"), "15m"),
    Case(
        "somebody-elses",
        "StalkVolumeFilling",
        volume("5x60", "data-other-0") | volume("5x60", namespace="other"),
        "15m",
    ),
    Case("gone", "StalkTargetDown", targets("1x5 0x60"), "20m", [WARNING | target for target in TARGETS]),
    Case("never-there", "StalkTargetDown", {}, "20m", [WARNING | target for target in TARGETS]),
    Case("without-queues", "StalkTargetDown", targets("1x60", "1x5 0x60"), "20m", [WARNING | DETAILED]),
    Case("with-queues-alone", "StalkTargetDown", targets("0x60", "1x60"), "20m", [WARNING | t for t in TARGETS[:-1]]),
    Case("one-of-two-pods", "StalkTargetDown", targets("1x60") | other_pods("0x60"), "20m"),
    Case("there", "StalkTargetDown", targets("1x60"), "20m"),
    Case(
        "fails",
        "StalkScalerFailing",
        scaler("0+1x60", 'namespace="shop"'),
        "15m",
        [CRITICAL | {"scaledObject": "demo-stalk-worker-default"}],
    ),
    Case(
        "fails-as-exported",
        "StalkScalerFailing",
        scaler("0+1x60", 'namespace="keda",exported_namespace="shop"'),
        "15m",
        [CRITICAL | {"scaledObject": "demo-stalk-worker-default"}],
    ),
    Case("works", "StalkScalerFailing", scaler("7x60", 'namespace="shop"'), "15m"),
    Case(
        "of-another-namespace", "StalkScalerFailing", scaler("0+1x60", 'namespace="keda",exported_namespace="b"'), "15m"
    ),
    Case("of-another-pool", "StalkScalerFailing", scaler("0+1x60", 'namespace="shop"', "other"), "15m"),
    # A broker of one's own, with and without /metrics/detailed.
    *(
        Case(
            f"own-broker-{name}",
            "StalkDeadLetters",
            {f'{name}{{vhost="a/b",queue="mail.dead-letters",cluster="{cluster}"}}': "1x60"},
            "5m",
            fires,
            merged(EXTERNAL, BROKER),
        )
        for name in (ALL, "rabbitmq_queue_messages")
        for cluster, fires in (("prod", [WARNING | DEAD]), ("test", []))
    ),
    Case(
        "own-broker",
        "StalkRabbitmqAlarm",
        alarm("memory_used", "1x60", 'cluster="prod"'),
        "5m",
        [CRITICAL | {"alarm": "memory"}],
        merged(EXTERNAL, BROKER),
    ),
]


@pytest.mark.parametrize("case", CASES_OF_ALERTS, ids=lambda case: f"{case.alert}-{case.name}")
def test_an_alert_fires_when_it_should(case: Case, tmp_path: Path) -> None:
    objects = render(case.values)
    (tmp_path / "rules.yaml").write_text(rule_groups(objects))
    about = {rule["alert"]: rule["annotations"] for rule in rules(objects)}
    assert case.alert in about
    release = {"namespace": "shop", "stalk_release": "demo"}
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": samples} for name, samples in case.series.items()],
                "alert_rule_test": [
                    {
                        "eval_time": case.at,
                        "alertname": case.alert,
                        "exp_alerts": [{"exp_labels": release | labels} for labels in case.fires],
                    }
                ],
            }
        ],
    }
    # Annotations hold the value; promtool compares them, so the copy of the rules that it is given has none.
    copy = yaml.safe_load((tmp_path / "rules.yaml").read_text())
    for group in copy["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(copy))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    content, said = promtool("test", "rules", "test.yaml", folder=tmp_path)
    assert content, said


def test_every_alert_is_tested_both_ways() -> None:
    made = {rule["alert"] for case in CASES_OF_ALERTS for rule in rules(render(case.values))}
    assert {case.alert for case in CASES_OF_ALERTS if case.fires} == made
    assert {case.alert for case in CASES_OF_ALERTS if not case.fires} == made


def test_rules_of_every_set_of_values_can_be_loaded(objects: list[Object], tmp_path: Path) -> None:
    found = rule_groups(objects)
    (tmp_path / "rules.yaml").write_text(found)
    content, said = promtool("check", "rules", "rules.yaml", folder=tmp_path)
    assert content or not rules(objects), said


def test_names_that_need_quoting_can_be_loaded(tmp_path: Path) -> None:
    external = {"vhost": 'a"b: #\\', "metricsLabels": {"cluster": 'p"{{ $value }}'}}
    values = merged(
        ON, EXTERNAL, BROKER, {"externalRabbitmq": external, "workers": {"default": {"queues": [":", "a.b-c"]}}}
    )
    (tmp_path / "rules.yaml").write_text(rule_groups(render(values)))
    content, said = promtool("check", "rules", "rules.yaml", folder=tmp_path)
    assert content, said


def test_every_alert_has_its_page() -> None:
    made = {
        rule["alert"] for name in CASES for rule in rules(render(merged(CASES[name], {"metrics": {"enabled": True}})))
    }
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == made
    for alert in made:
        text = (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {alert}\n"), alert
        assert re.findall(r"^## (.*)$", text, re.M) == list(PARTS), alert
        assert "```" in text or "    kubectl" in text, f"{alert}: no command"


def test_an_alert_points_to_its_page_and_says_whose_it_is() -> None:
    values = merged(
        ON, {"metrics": {"rules": {"runbookUrl": "https://wiki.example.org/stalk/", "labels": {"team": "data"}}}}
    )
    for rule in rules(render(values)):
        assert rule["annotations"]["runbook_url"] == f"https://wiki.example.org/stalk/{rule['alert']}.md"
        assert {"namespace": "shop", "stalk_release": "demo", "team": "data"}.items() <= rule["labels"].items()
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_an_alert_can_be_left_out() -> None:
    values = merged(ON, {"metrics": {"rules": {"disabled": ["StalkDeadLetters"]}}})
    assert {rule["alert"] for rule in rules(render(ON))} - {rule["alert"] for rule in rules(render(values))} == {
        "StalkDeadLetters"
    }


def test_no_rules_without_metrics() -> None:
    assert rules(render({"metrics": {"enabled": False}})) == []
    assert rules(render({"metrics": {"enabled": True, "rules": {"enabled": False}}})) == []
