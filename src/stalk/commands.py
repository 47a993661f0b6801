"""The commands of `stalk` that need a Celery app."""

from collections.abc import Sequence

from celery import Celery
from celery.app.utils import find_app

from stalk.celery import configure
from stalk.celery.queues import check_names, dead_letter_queue_name
from stalk.settings import ConnectionSettings, load
from stalk.topology import TopologyError, declare_when_up

__all__ = ["app_with", "topology"]


def topology(app_name: str | None, names: Sequence[str], timeout: float) -> str | None:
    """Declare the queues of an app, and those named; return what is wrong, or None.

    Args:
        app_name: as for `celery -A`, or None for the broker of the environment.
        names: queues beside the app's own.
        timeout: seconds to wait for the broker.
    """
    if app_name is None and not names:
        return "name a Celery app (-A module:attr) or a queue (--queue NAME)"
    try:
        app = app_with(app_name, names)
        queues = app.amqp.queues
        declare_when_up(app, queues.values(), timeout)
    except (TopologyError, ValueError) as error:
        return str(error)
    for name in queues:
        print(f"declared {name} and {dead_letter_queue_name(name)}")
    return None


def app_with(app_name: str | None, names: Sequence[str]) -> Celery:
    """Return a Celery app that knows these queues.

    Args:
        app_name: as for `celery -A`, or None for one without tasks, on the environment's broker and result store.
        names: queues beside the app's own.

    Raises:
        ValueError: the queue names cannot stand together.
    """
    if app_name is None:
        return configure(Celery("stalk"), load(ConnectionSettings), check_names(names))
    app = find_app(app_name)
    for name in names:
        app.amqp.queues[name]  # an unknown one is made as `celery worker -Q` would make it
    return app
