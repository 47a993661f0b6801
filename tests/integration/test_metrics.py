"""A real Prometheus reads API, exporter, Flower and RabbitMQ as the chart's monitors say, and loads the chart's rules.

The tests stand in the order of a day: calm at zero, tasks that nobody takes, workers, failures, a dead letter, outages.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from amqp import Message

from app.worker.celery_app import TASK_NAME
from chart.dashboard import OUTSIDE, dashboard, queries
from charting.prometheus import rules
from charting.rendering import NAMESPACE, RELEASE, Object
from integration.harness import Service, end_tree, eventually
from integration.monitored import monitored
from integration.prometheus import Prometheus, metric_names

OWN = f'namespace="{NAMESPACE}",stalk_release="{RELEASE}"'
PROMETHEUS_OWN = {"ALERTS"}


@dataclass
class Release:
    """The service, whom Prometheus reads, and Prometheus."""

    service: Service
    prometheus: Prometheus
    objects: list[Object]

    @property
    def queue(self) -> str:
        return f'{OWN},queue="{self.service.queue}"'

    def started(self) -> float:
        """Return how many tasks were started, as Prometheus knows it."""
        return self.prometheus.value(f"stalk_task_wait_seconds_count{{{self.queue}}}") or 0

    def waited(self) -> float:
        """Return how many seconds they had waited, all together."""
        return self.prometheus.value(f"stalk_task_wait_seconds_sum{{{self.queue}}}") or 0

    def fires(self, alert: str, timeout: float = 60) -> None:
        eventually(lambda: alert in self.prometheus.firing(), timeout, 0.5)

    def keeps_still(self, alert: str, timeout: float = 60) -> None:
        eventually(lambda: alert not in self.prometheus.firing(), timeout, 0.5)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    with monitored(tmp_path_factory.mktemp("metrics"), {"STEPS": "1"}) as running:
        yield Release(running.service, running.prometheus, running.objects)


def test_every_target_is_read(release: Release) -> None:
    found = eventually(lambda: set((all_of := release.prometheus.targets()).values()) == {"up"} and all_of, 60, 0.5)
    assert len(found) == 5  # RabbitMQ twice
    assert any("/metrics/detailed?" in url for url in found)


def test_workers_at_zero_are_no_fault(release: Release) -> None:
    eventually(lambda: release.prometheus.firing() == set(), 60, 0.5)
    ready = f"rabbitmq_detailed_queue_messages_ready{{{release.queue}}}"
    eventually(lambda: release.prometheus.value(ready) == 0)
    assert release.started() == 0, "the queue is shown before its first task"
    assert release.prometheus.value(f'stalk_dependency_up{{{OWN},dependency="broker"}}') == 1


def test_tasks_that_nobody_takes_are_told_and_their_wait_is_measured(release: Release) -> None:
    began = time.time()
    for _ in range(3):
        release.service.submit()
    release.fires("StalkQueueWithoutWorkers")
    least = 3 * (time.time() - began - 1)  # all were submitted by then, in less than a second
    worker = release.service.worker()
    eventually(lambda: release.started() == 3, 30, 0.5)
    assert least < release.waited() < 3 * (time.time() - began)
    release.keeps_still("StalkQueueWithoutWorkers")
    end_tree(worker.pid)
    # And it stays when the worker is gone, also for an exporter that has just come.
    consumers = f"rabbitmq_detailed_queue_consumers{{{release.queue}}}"
    eventually(lambda: release.prometheus.value(consumers) == 0, 60, 0.5)
    assert release.started() == 3


def test_a_countdown_is_no_wait(release: Release) -> None:
    before, waited = release.started(), release.waited()
    worker = release.service.worker()
    release.service.submit(countdown=8)
    eventually(lambda: release.started() == before + 1, 40, 0.5)
    assert release.waited() - waited < 6
    end_tree(worker.pid)


def test_the_first_failures_of_a_new_worker_are_seen(release: Release) -> None:
    from app.worker.celery_app import celery_app

    release.keeps_still("StalkTaskFailures")
    with celery_app.connection_for_write(release.service.broker.amqp_url) as connection:
        for _ in range(6):
            celery_app.send_task(
                TASK_NAME,
                args=("too", "many"),
                queue=release.service.queue,
                connection=connection,
                ignore_result=True,
            )
    worker = release.service.worker()
    release.fires("StalkTaskFailures")
    end_tree(worker.pid)


def test_every_metric_of_rules_and_dashboard_is_there(release: Release) -> None:
    expressions = [*(rule["expr"] for rule in rules(release.objects)), *queries()]
    names = set().union(*map(metric_names, expressions))
    assert names > OUTSIDE, "what is said to come from elsewhere is asked for"

    def missing() -> set[str]:
        return {name for name in names - PROMETHEUS_OWN if not release.prometheus.query(f'{{__name__="{name}"}}')}

    eventually(lambda: missing() == OUTSIDE, 30, 1)


def test_every_query_of_the_dashboard_is_answered(release: Release) -> None:
    filled = {"$namespace": NAMESPACE, "$release": RELEASE, "$queue": release.service.queue, "$__rate_interval": "1m"}

    def empty() -> set[str]:
        found = set()
        for panel in dashboard()["panels"]:
            for query in panel.get("targets", []):
                expr = query["expr"]
                for name, value in filled.items():
                    expr = expr.replace(name, value)
                if not release.prometheus.query(expr) and not metric_names(expr) & OUTSIDE:
                    found.add(panel["title"])
        return found

    # Nobody has retried a task; workers are at zero. More than once: a scrape may fail on a busy machine.
    eventually(lambda: empty() == {"Retried"}, 30, 1)


@pytest.mark.parametrize("gone", ["", "exporter", "rabbitmq"])
def test_an_imported_dashboard_finds_releases_and_queues(release: Release, gone: str) -> None:
    """Also where one of those that tell is not there."""
    wanted = {"namespace": NAMESPACE, "release": RELEASE, "queue": release.service.queue}
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] != "query":
            continue
        match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
        assert match, variable
        without = f'{match[1].removesuffix("}")},service!="{RELEASE}-stalk-{gone}"}}'
        expr = without.replace("$namespace", NAMESPACE).replace("$release", RELEASE)
        found = {labels[match[2]] for labels, _ in release.prometheus.query(expr)}
        assert found == {wanted.pop(variable["name"])}, expr
    assert not wanted


def test_mailboxes_that_come_and_go_with_workers_are_not_kept(release: Release) -> None:
    mailboxes = 'rabbitmq_detailed_queue_messages{queue=~".*pidbox.*|celeryev.*"}'
    assert release.prometheus.query(mailboxes) == []


def test_a_dead_letter_is_told(release: Release) -> None:
    assert "StalkDeadLetters" not in release.prometheus.firing()
    channel = release.service.channel()
    channel.basic_publish(Message("lost"), exchange="", routing_key=f"{release.service.queue}.dead-letters")
    release.fires("StalkDeadLetters")
    channel.queue_purge(f"{release.service.queue}.dead-letters")
    release.keeps_still("StalkDeadLetters")
    channel.connection.close()


def test_a_broker_that_is_away_is_told(release: Release) -> None:
    assert not release.prometheus.firing() & {"StalkBrokerDown", "StalkTasksRefused", "StalkResultsDown"}
    release.service.broker.stop()
    release.fires("StalkBrokerDown")
    assert httpx.post(f"{release.service.url}/tasks", json={"word": "no"}, timeout=10).status_code == 503
    release.fires("StalkTasksRefused")
    release.fires("StalkTargetDown")
    assert "StalkResultsDown" not in release.prometheus.firing()
    release.service.broker.start()
    release.keeps_still("StalkBrokerDown")


def test_results_that_are_away_are_told(release: Release) -> None:
    started = release.started()
    release.service.redis.stop()
    release.fires("StalkResultsDown")
    release.service.redis.start()
    release.keeps_still("StalkResultsDown")
    eventually(lambda: release.started() == started, 30, 0.5)
