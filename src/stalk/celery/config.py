"""One call that makes a Celery app safe to scale."""

import ssl
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from celery import Celery

from stalk.celery.heartbeat import Heartbeat
from stalk.celery.queues import EXCHANGE, check_names, task_queue
from stalk.logging import connect_celery_logging
from stalk.settings import ConnectionSettings

__all__ = ["configure"]


def configure(app: Celery, settings: ConnectionSettings, queues: Iterable[str]) -> Celery:
    """Set what a Celery app needs so that workers may come and go without losing a task.

    Call it before the first task is declared.

    Args:
        app: the app; what it was given before and is not named here stays.
        settings: where broker and result store are.
        queues: names of the task queues; the first is the default.

    Returns:
        The same app.

    Raises:
        ValueError: the queue names cannot stand together; see `stalk.celery.queues.check_names`.
    """
    names = check_names(queues)
    app.amqp_cls = "stalk.celery.queues:StalkAMQP"
    app.task_cls = "stalk.celery.task:Task"
    app.conf.update(
        _connections(settings)
        | _delivery()
        | {
            "stalk_delivery_limit": settings.queue_delivery_limit,
            "stalk_run_dir": settings.stalk_run_dir,
            "stalk_shutdown_seconds": settings.shutdown_seconds,
            "task_queues": tuple(task_queue(name, settings.queue_delivery_limit) for name in names),
            "task_default_queue": names[0],
            "task_default_queue_type": "quorum",
            "task_default_exchange": EXCHANGE.name,
            "task_default_exchange_type": EXCHANGE.type,
            "task_default_routing_key": names[0],
        }
    )
    app.steps["consumer"].add(Heartbeat)
    connect_celery_logging(settings)
    return app


def _connections(settings: ConnectionSettings) -> dict[str, Any]:
    """Return how to reach broker and result store, and to wait for them for ever."""
    return {
        "broker_url": settings.amqp_url(),
        "broker_use_ssl": _broker_tls(settings),
        "broker_transport_options": {"confirm_publish": True},
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A closed channel (a consumer timeout, a deleted queue) is a reason to reconnect, not to exit.
        "broker_channel_error_retry": True,
        "result_backend": settings.results_url(),
        "result_expires": timedelta(seconds=settings.result_expires_seconds),
        # While Redis is away a finished task waits to store its result, unacknowledged: not lost, not run again.
        "result_backend_always_retry": True,
        "redis_socket_connect_timeout": 5,
        "redis_socket_timeout": 15,
        "redis_socket_keepalive": True,
        "redis_retry_on_timeout": True,
        "redis_backend_health_check_interval": 30,
    }


def _delivery() -> dict[str, Any]:
    """Return what decides when a message counts as done. Reasons: Celery's user guide, optimizing and workers."""
    return {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_track_started": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # RabbitMQ 4 has no global QoS, so a prefetch lowered on reconnect never comes back (celery #9512).
        "worker_enable_prefetch_count_reduction": False,
        # A task whose result was stored but whose ack got lost is acknowledged, not run again.
        "worker_deduplicate_successful_tasks": True,
        "worker_proc_alive_timeout": 30,
        "worker_send_task_events": True,
        # RabbitMQ 4.3 refuses queues that are neither durable nor exclusive. Durable for the mailbox: an exclusive one
        # is locked for a container that restarts under the same host name. It still expires when its worker is gone.
        "control_queue_durable": True,
        "control_queue_exclusive": False,
        "event_queue_exclusive": True,
        "worker_consumer": "stalk.celery.consumer:Consumer",
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
    }


def _broker_tls(settings: ConnectionSettings) -> dict[str, Any] | bool:
    """Return py-amqp's TLS options: the certificate and its name are always checked."""
    if not settings.broker_tls:
        return False
    return {
        "cert_reqs": ssl.CERT_REQUIRED,
        "ca_certs": str(settings.broker_tls_ca or ssl.get_default_verify_paths().cafile),
        # Named, for kombu turns localhost into 127.0.0.1.
        "server_hostname": urlsplit(settings.amqp_url()).hostname,
    }
