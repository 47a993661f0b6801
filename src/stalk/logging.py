"""Log lines as text for people or as JSON, one object a line, for log collectors."""

import logging
import sys
from typing import Any

from celery import current_task
from celery.signals import after_setup_logger, after_setup_task_logger
from pythonjsonlogger.json import JsonFormatter

from stalk.settings import ConnectionSettings

__all__ = ["connect_celery_logging", "json_formatter", "setup_logging"]

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _TaskFields(logging.Filter):
    """Adds the running task's id and name, so that a task's lines can be found by its id."""

    def filter(self, record: logging.LogRecord) -> bool:
        if current_task and current_task.request:
            record.task_id = current_task.request.id
            record.task_name = current_task.name
        return True


def json_formatter() -> logging.Formatter:
    """Return the formatter of `LOG_FORMAT=json`: keys time, level, logger, message, and a task's id and name."""
    return JsonFormatter(
        "%(levelname)s %(name)s %(message)s",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
    )


def setup_logging(settings: ConnectionSettings) -> None:
    """Set up the root logger of a process that is not a Celery worker."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_formatter() if settings.log_format == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)


def connect_celery_logging(settings: ConnectionSettings) -> None:
    """Make Celery's own log lines JSON where the settings ask for it; otherwise Celery's formats stay."""
    if settings.log_format == "json":
        for signal in (after_setup_logger, after_setup_task_logger):
            signal.connect(_use_json, weak=False, dispatch_uid="stalk-json-logs")


def _use_json(logger: logging.Logger, **_: Any) -> None:
    for handler in logger.handlers:
        handler.setFormatter(json_formatter())
        handler.addFilter(_TaskFields())
