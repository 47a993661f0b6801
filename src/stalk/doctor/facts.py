"""What the sources gather and the checks judge. Plain data: a test writes it down, a cluster is not needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stalk.doctor.paste import Place, Variable, shell

__all__ = ["AppFacts", "BrokerFacts", "Facts", "ManagementFacts", "Problem", "RedisFacts", "TaskFacts", "WorkerFacts"]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a server cannot be used."""

    kind: Literal["dns", "unreachable", "login", "vhost", "tls", "other"]
    where: str
    """`host:port`, or a URL without a login."""
    text: str
    """What the network or the server said."""


@dataclass(frozen=True, slots=True)
class AppFacts:
    """How the sender of tasks is set up: from its environment, or from its Celery app."""

    name: str
    """What it is called in a finding, such as `app.worker.celery_app`."""
    broker: str
    """`host:port/vhost`."""
    vhost: str
    results: str
    """`host:port/db`."""
    queues: Mapping[str, tuple[str, str]]
    """Queue: the exchange that is published to, and the routing key."""
    arguments: Mapping[str, Json] = field(default_factory=dict)
    """Queue: the arguments that it shall have."""
    task_serializer: str = "json"
    accept_content: Sequence[str] = ("json",)
    result_serializer: str = "json"
    tasks: Mapping[str, str] = field(default_factory=dict)
    """Name of a task that may be sent, and the queue that it is sent to."""
    user: str = ""
    """Whom the broker knows the app as."""
    management_user: str = ""
    assumed: bool = False
    """No app was named: queues are what Stalk makes them, and an app of somebody's own may make them otherwise."""


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What AMQP itself says."""

    problem: Problem | None = None
    version: str = ""
    missing_queues: Sequence[str] = ()
    ready: Mapping[str, int] = field(default_factory=dict)
    """Queue: ready messages; of the dead-letter queues as well."""
    consumers: Mapping[str, int] = field(default_factory=dict)
    inequivalent: Mapping[str, str] = field(default_factory=dict)
    """Queue: what RabbitMQ answers to the declaration that the app makes."""
    missing_exchanges: Sequence[str] = ()
    delayed_missing: bool = False


@dataclass(frozen=True, slots=True)
class ManagementFacts:
    """What RabbitMQ's management API says."""

    problem: Problem | None = None
    stats_off: bool = False
    queues: Sequence[Json] = ()
    """Of every virtual host that the user sees."""
    bindings: Sequence[Json] | None = None
    """Of the app's virtual host; None where they could not be read."""
    unseen: str = ""
    """Why they could not."""
    consumers: Sequence[Json] | None = None

    def queue(self, vhost: str, name: str) -> Json:
        """Return what is known of one queue, or an empty object."""
        return next((each for each in self.queues if each["name"] == name and each.get("vhost") == vhost), {})


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What Redis holds of one task."""

    id: str
    accepted: bool = False
    status: str = ""
    """Of the stored result; empty for none."""
    error: str = ""
    other_databases: Sequence[int] = ()
    """Databases, other than the API's, in which it is known."""
    running_on: str = ""


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What Redis says."""

    problem: Problem | None = None
    write_problem: str = ""
    task: TaskFacts | None = None
    not_registered: Mapping[str, str] = field(default_factory=dict)
    """Task name: an id of it that a worker refused as not registered."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What workers answer, by node name: each map lacks those that do not."""

    alive: Sequence[str] = ()
    queues: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    registered: Mapping[str, Sequence[str]] = field(default_factory=dict)
    conf: Mapping[str, Json] = field(default_factory=dict)
    stats: Mapping[str, Json] = field(default_factory=dict)
    active: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    reserved: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    scheduled: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    heartbeats: frozenset[str] | None = None
    """Workers that sent an event while it was listened; None where nobody could listen."""
    deaf: str = ""
    """Why nobody could listen."""
    now: float = 0.0
    """Time of the answers, as `time.time()`."""

    def consuming(self, queue: str) -> list[str]:
        """Return the workers that say they consume a queue."""
        return sorted(name for name, each in self.queues.items() if any(one.get("name") == queue for one in each))


@dataclass(slots=True)
class Facts:
    """All of it; what is None could not be gathered."""

    app: AppFacts
    broker: BrokerFacts | None = None
    management: ManagementFacts | None = None
    redis: RedisFacts | None = None
    workers: WorkerFacts | None = None
    cluster: Any = None
    api_problem: str = ""
    api_url: str = ""
    consumer_timeout: float | None = None
    """Of the broker, in seconds, where something says it."""
    consumer_timeout_from: str = "RabbitMQ's default"
    place: Place = field(default_factory=Place)
    """Where lines are pasted."""

    def celery(self, *words: str) -> str:
        """Return a command of Celery's for the app that was named, or else for the one that the shell has."""
        app = Variable("STALK_APP") if self.app.assumed else self.app.name
        return shell("celery", "-A", app, *words)
