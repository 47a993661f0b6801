"""What is looked at: one sender of tasks, with its Celery app and the servers that it uses."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from celery import Celery
from celery.app.utils import find_app

from stalk.celery import configure
from stalk.doctor.facts import AppFacts
from stalk.flower import FlowerSettings

__all__ = ["Target", "of_app", "of_settings", "store"]

PORTS = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}


@dataclass(frozen=True, slots=True)
class Target:
    """A Celery app, and how it reaches its servers from here."""

    app: Celery
    facts: AppFacts
    settings: FlowerSettings

    @property
    def secrets(self) -> set[str]:
        """Every secret that the app or its settings know."""
        settings = self.settings
        held = (
            settings.broker_password,
            settings.redis_password,
            settings.flower_password,
            settings.broker_management_password,
        )
        urls = [str(self.app.conf.broker_url or ""), str(self.app.conf.result_backend or "")]
        urls += [url.get_secret_value() for url in (settings.broker_url, settings.redis_url) if url is not None]
        found = {secret.get_secret_value() for secret in held if secret is not None}
        if settings.flower_basic_auth is not None:
            found.add(settings.flower_basic_auth.get_secret_value().partition(":")[2])
        for url in urls:
            password = urlsplit(url).password
            if password:
                found |= {password, unquote(password)}
        return found - {""}

    @property
    def public(self) -> set[str]:
        """Names that are no secret, even where a weak password is a part of one."""
        facts = self.facts
        names = {
            facts.name,
            facts.broker,
            facts.vhost,
            facts.results,
            facts.user,
            facts.management_user,
            *facts.queues,
            *facts.tasks,
        }
        return (
            names
            | {f"{queue}.dead-letters" for queue in facts.queues}
            | {one for each in facts.queues.values() for one in each}
        )


def of_app(name: str, settings: FlowerSettings, queues: Sequence[str]) -> Target:
    """Return an app as `celery -A` names it.

    Raises:
        Exception: whatever its import raises.
    """
    app = find_app(name)
    with contextlib.suppress(Exception):  # a sender need not have the code of the tasks that it sends
        app.loader.import_default_modules()
    app.finalize()
    return Target(app, _facts(app, name, queues or list(app.amqp.queues), settings), settings)


def of_settings(name: str, settings: FlowerSettings, queues: Sequence[str]) -> Target:
    """Return an app that Stalk itself sets up, on the queues that are named."""
    app = configure(Celery("stalk-doctor"), settings, queues or ["stalk-doctor"])
    return Target(app, replace(_facts(app, name, queues, settings), assumed=True), settings)


def _facts(app: Celery, name: str, queues: Sequence[str], settings: FlowerSettings) -> AppFacts:
    broker = urlsplit(str(app.conf.broker_url or ""))
    vhost = unquote(broker.path.removeprefix("/")) or "/"
    user = unquote(broker.username or "guest")
    known = {queue: app.amqp.queues[queue] for queue in queues}
    return AppFacts(
        name=name,
        broker=f"{broker.hostname or 'localhost'}:{broker.port or PORTS.get(broker.scheme, 5672)}/{vhost}",
        vhost=vhost,
        results=store(str(app.conf.result_backend or "")),
        queues={queue: (each.exchange.name, each.routing_key) for queue, each in known.items()},
        arguments={queue: dict(each.queue_arguments or {}) for queue, each in known.items()},
        task_serializer=app.conf.task_serializer,
        accept_content=tuple(app.conf.accept_content),
        result_serializer=app.conf.result_serializer,
        tasks={task: _queue(app, task) for task in sorted(app.tasks) if not task.startswith("celery.")},
        user=user,
        management_user=settings.broker_management_user or user,
    )


def _queue(app: Celery, task: str) -> str:
    """Return the queue that a task is routed to."""
    queue = app.amqp.router.route({}, task).get("queue")
    return str(getattr(queue, "name", queue) or app.conf.task_default_queue)


def store(url: str) -> str:
    """Return where a result backend keeps results, as `host:port/db`; other backends by their scheme."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss"):
        return parts.scheme or "none"
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}/{parts.path.strip('/') or '0'}"
