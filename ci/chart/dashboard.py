"""The Grafana dashboard: written here row by row, for the JSON of a dashboard is nothing to edit by hand.

Every panel is there with workers at zero: what a worker says is asked of RabbitMQ, Flower or the exporter, which stay.
A sum over nothing is no data in PromQL; where nothing means 0, `or vector(0)` says so.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["OUTSIDE", "dashboard", "dashboard_text", "queries"]

OWN = 'namespace="$namespace",stalk_release="$release"'
QUEUES = f'{OWN},queue=~"$queue"'
DEAD = 'queue=~"($queue)[.]dead-letters"'
OUTSIDE = {
    "keda_scaled_object_errors_total",
    "keda_scaler_metrics_value",
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_ready",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
}
"""Metrics of kube-state-metrics, KEDA's operator and the kubelet: none of them is scraped by this chart's monitors.
tests/e2e/test_keda_metrics.py holds KEDA's against KEDA."""
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WORKERS = 'namespace="$namespace",deployment=~".*-worker-.*"'
DELAYED = "celery_delayed_[0-9]+"
TASK_QUEUES = f'queue!~"{DELAYED}|.*[.]dead-letters"'
QUEUE_SERIES = '__name__=~"rabbitmq_detailed_queue_messages_ready|stalk_task_wait_seconds_count"'
"""Each knows the queues without the other, which may not be there: RabbitMQ may be one's own, and the exporter off."""
RATE = "$__rate_interval"


@dataclass(frozen=True)
class Query:
    """PromQL, and how its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One graph, or one number with `stat`."""

    title: str
    about: str
    queries: tuple[Query, ...]
    unit: str = "short"
    stat: bool = False
    stacked: bool = False
    limits: tuple[float, ...] = ()
    """Where a number turns yellow, then red."""


def by_queue(metric: str, matchers: str = 'queue=~"$queue"') -> str:
    """Return RabbitMQ's number by queue: of the bundled broker, or of one whose metrics lack the release's label."""
    own = f"max by (queue) (rabbitmq_detailed_queue_{metric}{{{OWN},{matchers}}})"
    other = f'max by (queue) ({{__name__=~"rabbitmq(_detailed)?_queue_{metric}",stalk_release="",{matchers}}})'
    return f"({own} or on (queue) {other})"


def wait(quantile: float) -> str:
    buckets = f"rate(stalk_task_wait_seconds_bucket{{{QUEUES}}}[{RATE}])"
    return f"histogram_quantile({quantile}, sum by (queue, le) ({buckets}))"


def ended(kind: str) -> str:
    # Flower counts by worker, and one that has just come begins at 1, which `rate` does not see.
    events = f'flower_events_total{{{OWN},type="{kind}"}}'
    return f"sum by (task) ((clamp_min({events} - {events} offset 5m, 0) or {events}) / 300)"


ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        Panel(
            "Waiting",
            "Tasks that are ready in the queues.",
            (Query(f"sum({by_queue('messages_ready')}) or vector(0)"),),
            stat=True,
        ),
        Panel(
            "Running",
            "Tasks that a worker has and has not acknowledged.",
            (Query(f"sum({by_queue('messages_unacked')}) or vector(0)"),),
            stat=True,
        ),
        Panel(
            "Workers",
            "Consumers of the queues: a worker is one of each of its queues, so the queue with the most counts.",
            (Query(f"max({by_queue('consumers')}) or vector(0)"),),
            stat=True,
        ),
        Panel(
            "Delayed",
            "Tasks whose countdown or retry waits in the broker, of all queues of the virtual host.",
            (Query(f"sum({by_queue('messages', f'queue=~`{DELAYED}`')}) or vector(0)"),),
            stat=True,
        ),
        Panel(
            "Dead letters",
            "Tasks that RabbitMQ gave up on.",
            (Query(f"sum({by_queue('messages', DEAD)}) or vector(0)"),),
            stat=True,
            limits=(1,),
        ),
        Panel(
            "Broker and results",
            "1: an app can log in.",
            (Query(f"min by (dependency) (stalk_dependency_up{{{OWN}}})", "{{dependency}}"),),
            stat=True,
        ),
        Panel(
            "Alerts",
            "Firing alerts of this release.",
            (Query(f'count(ALERTS{{{OWN},alertstate="firing"}}) or vector(0)'),),
            stat=True,
            limits=(1,),
        ),
    ),
    "Queues": (
        Panel(
            "Waiting tasks",
            "Ready messages by queue, from RabbitMQ. They are there with workers at zero.",
            (Query(by_queue("messages_ready"), "{{queue}}"),),
            stacked=True,
        ),
        Panel(
            "Time from accepted to started, p95",
            "What one in twenty waited at least. Countdowns do not count. A gap is a time in which nothing started.",
            (Query(wait(0.95), "{{queue}}"),),
            unit="s",
        ),
        Panel(
            "Time from accepted to started, p50",
            "What half of the tasks waited at least.",
            (Query(wait(0.5), "{{queue}}"),),
            unit="s",
        ),
        Panel(
            "Accepted and started",
            "Tasks that the API accepted, and tasks that workers started, a second.",
            (
                Query(f"sum(rate(stalk_tasks_accepted_total{{{OWN}}}[{RATE}])) or vector(0)", "accepted"),
                Query(f"sum(rate(stalk_task_wait_seconds_count{{{QUEUES}}}[{RATE}])) or vector(0)", "started"),
                Query(
                    f"sum(rate(stalk_task_redeliveries_total{{{QUEUES}}}[{RATE}])) or vector(0)",
                    "started from a second delivery",
                ),
            ),
            unit="reqps",
        ),
    ),
    "Workers": (
        Panel(
            "Workers by queue",
            "Consumers, from RabbitMQ.",
            (Query(by_queue("consumers"), "{{queue}}"),),
        ),
        Panel(
            "Replicas",
            "Asked for and ready, of every Deployment of workers in the namespace. From kube-state-metrics.",
            (
                Query(f"kube_deployment_spec_replicas{{{WORKERS}}}", "{{deployment}} asked for"),
                Query(
                    f"kube_deployment_status_replicas_ready{{{WORKERS}}}",
                    "{{deployment}} ready",
                ),
            ),
        ),
        Panel(
            "What KEDA sees",
            "Queued and running tasks, as its scaler last read them, and errors. From KEDA's operator.",
            tuple(
                query
                for label in ("namespace", "exported_namespace")
                for query in (
                    Query(
                        f'sum by (scaledObject, metric) (keda_scaler_metrics_value{{{label}="$namespace"}})',
                        "{{scaledObject}} {{metric}}",
                    ),
                    Query(
                        "sum by (scaledObject)"
                        f' (rate(keda_scaled_object_errors_total{{{label}="$namespace"}}[{RATE}]))',
                        "{{scaledObject}} errors a second",
                    ),
                )
            ),
        ),
    ),
    "Tasks": (
        Panel(
            "Succeeded",
            "A second, over five minutes, from Flower.",
            (Query(ended("task-succeeded"), "{{task}}"),),
            "reqps",
        ),
        Panel(
            "Failed", "A second, over five minutes, from Flower.", (Query(ended("task-failed"), "{{task}}"),), "reqps"
        ),
        Panel(
            "Retried", "A second, over five minutes, from Flower.", (Query(ended("task-retried"), "{{task}}"),), "reqps"
        ),
        Panel(
            "Runtime, p95",
            "From Flower, by worker summed up. The first task of a new worker is not in it.",
            (
                Query(
                    "histogram_quantile(0.95, sum by (task, le)"
                    f" (rate(flower_task_runtime_seconds_bucket{{{OWN}}}[{RATE}])))",
                    "{{task}}",
                ),
            ),
            unit="s",
        ),
    ),
    "API and servers": (
        Panel(
            "Refused",
            "Submissions answered with 503, a second, by what was away.",
            (Query(f"sum by (dependency) (rate(stalk_tasks_refused_total{{{OWN}}}[{RATE}]))", "{{dependency}}"),),
            unit="reqps",
        ),
        Panel(
            "Until the broker confirms, p99",
            "What a submission waits for RabbitMQ.",
            (
                Query(
                    f"histogram_quantile(0.99, sum by (le) (rate(stalk_confirm_seconds_bucket{{{OWN}}}[{RATE}])))",
                    "p99",
                ),
            ),
            unit="s",
        ),
        Panel(
            "RabbitMQ's memory",
            "At the limit publishers are blocked.",
            (
                Query(f"max(rabbitmq_process_resident_memory_bytes{{{OWN}}})", "used"),
                Query(f"max(rabbitmq_resident_memory_limit_bytes{{{OWN}}})", "limit"),
            ),
            unit="bytes",
        ),
        Panel(
            "RabbitMQ's disk",
            "Below the limit publishers are blocked.",
            (
                Query(f"min(rabbitmq_disk_space_available_bytes{{{OWN}}})", "free"),
                Query(f"max(rabbitmq_disk_space_available_limit_bytes{{{OWN}}})", "limit"),
            ),
            unit="bytes",
        ),
        Panel(
            "Free in volumes",
            "From the kubelet.",
            (
                Query(
                    'kubelet_volume_stats_available_bytes{namespace="$namespace"}'
                    ' / kubelet_volume_stats_capacity_bytes{namespace="$namespace"}',
                    "{{persistentvolumeclaim}}",
                ),
            ),
            unit="percentunit",
        ),
    ),
}


def queries() -> Iterator[str]:
    """Yield the PromQL of every panel."""
    for panels in ROWS.values():
        for panel in panels:
            yield from (query.expr for query in panel.queries)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    return {
        "title": "Stalk",
        "uid": "stalk",
        "tags": ["celery", "stalk"],
        "description": "Celery on Kubernetes, from zero workers to N: docs/metrics.md says what each number is.",
        "schemaVersion": 39,
        "timezone": "",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "graphTooltip": 1,
        "editable": True,
        "annotations": {"list": []},
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }


def dashboard_text() -> str:
    """Return the file's text."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus"}
    # Whoever imports the file chooses a release; in the one that the chart makes its own takes their place.
    for name, query, several in (
        ("namespace", 'label_values(up{stalk_release!=""}, namespace)', False),
        ("release", 'label_values(up{stalk_release!="",namespace="$namespace"}, stalk_release)', False),
        ("queue", f"label_values({{{QUEUE_SERIES},{OWN},{TASK_QUEUES}}}, queue)", True),
    ):
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": DATASOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,  # when the time range changes: releases come and go
            "sort": 1,
            "multi": several,
            "includeAll": several,
        } | ({"current": {"text": "All", "value": "$__all"}} if several else {})


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for title, panels in ROWS.items():
        number += 1
        yield {"id": number, "type": "row", "title": title, "panels": [], "gridPos": _place(0, top, 24, 1)}
        top += 1
        small = panels[0].stat
        width, height = (24 // len(panels), 4) if small else (24 // min(len(panels), 3), 8)
        left = 0
        for panel in panels:
            if left + width > 24:
                left, top = 0, top + height
            number += 1
            yield _panel(panel) | {"id": number, "gridPos": _place(left, top, width, height)}
            left += width
        top += height


def _place(left: int, top: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [{"color": color, "value": at} for color, at in zip(("orange", "red"), panel.limits, strict=False)]
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    if panel.stat:
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    else:
        stacking = {"mode": "normal" if panel.stacked else "none"}
        defaults["custom"] = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "stacking": stacking}
    return {
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": letter, "datasource": DATASOURCE, "expr": query.expr, "legendFormat": query.legend}
            for letter, query in zip("ABCDEFGH", panel.queries, strict=False)
        ],
    }
