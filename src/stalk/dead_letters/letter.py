"""What one dead letter says of itself."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from amqp import Message

__all__ = ["DeadLetter", "clean_headers", "shortened"]

LONGEST_REPR = 200
"""Characters of arguments, or of a body that is no task, that are shown."""

# What RabbitMQ writes down about a message's way: https://www.rabbitmq.com/docs/dlx#effects
_HISTORY = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in a dead-letter queue. Whatever it does not say is None."""

    id: str | None
    """Id of the task; a message that is no task has none."""
    task: str | None
    """Name of the task."""
    args: str
    """Its arguments as Celery's `argsrepr` and `kwargsrepr` give them, or the body's repr; shortened."""
    reason: str | None
    """RabbitMQ's: `delivery_limit`, `rejected`, `expired` or `maxlen`."""
    died: datetime | None
    """When it came here, to the second, UTC."""
    deaths: int | None
    """How often it came here from that queue since it was published or replayed."""
    queue: str | None
    """The queue that gave up on it."""
    exchange: str | None
    """What it was published to before that queue had it; `celery_delayed_delivery` after a countdown."""
    routing_key: str | None
    retries: int | None
    """Celery's own retries, which are not deliveries."""
    origin: str | None
    """Who sent it, as `pid@host`."""
    deliveries: int
    """RabbitMQ's `x-delivery-count`: how often it was taken from the dead-letter queue and given back; before the first
    time, the count that it brought from its task queue, if any."""

    @classmethod
    def read(cls, message: Message) -> "DeadLetter":
        """Read a message; nothing in it can make this fail, for what is broken is what ends up here."""
        headers = message.properties.get("application_headers") or {}
        last = _last_death(headers)
        keys = last.get("routing-keys")
        return cls(
            id=_text(headers.get("id")) if _text(headers.get("task")) else None,
            task=_text(headers.get("task")) if _text(headers.get("id")) else None,
            args=_arguments(headers, message.body),
            # Not x-first-death-reason: a countdown's first death is the expiry that ended its wait.
            reason=_text(last.get("reason")),
            died=_time(last.get("time")),
            deaths=_number(last.get("count")),
            queue=_text(last.get("queue")),
            exchange=_text(last.get("exchange")),
            routing_key=_text(keys[0]) if isinstance(keys, list) and keys else None,
            retries=_number(headers.get("retries")),
            origin=_text(headers.get("origin")),
            deliveries=_number(headers.get("x-delivery-count")) or 0,
        )

    @property
    def death(self) -> str:
        """What tells this letter from a later one of the same task, however often it is looked at in between.

        A replayed copy has no history, and dies in another second; one that manages it in the same is taken for this
        letter, and left.
        """
        died = int(self.died.timestamp()) if self.died else ""
        return f"{died}:{self.reason or ''}:{self.deaths or ''}:{self.queue or ''}"

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self) | {"died": self.died.isoformat() if self.died else None}


def clean_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message's headers without RabbitMQ's history of it, so that a delivery limit begins anew."""
    return {name: value for name, value in headers.items() if not name.startswith(_HISTORY)}


def shortened(text: str, longest: int = LONGEST_REPR) -> str:
    """Return the text, or its beginning and how much is missing."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest} more)"


def _arguments(headers: Mapping[str, Any], body: object) -> str:
    if not (_text(headers.get("id")) and _text(headers.get("task"))):
        raw = body.encode() if isinstance(body, str) else body
        head = raw[: 2 * LONGEST_REPR] if isinstance(raw, bytes) else raw
        more = len(raw) - len(head) if isinstance(raw, bytes) and isinstance(head, bytes) else 0
        return shortened(repr(head) + (f" and {more} bytes" if more else ""))
    args, kwargs = _text(headers.get("argsrepr")), _text(headers.get("kwargsrepr"))
    if args is None and kwargs is None:
        args, kwargs = _from_body(body)
    return shortened(" ".join(part for part in (args, None if kwargs == "{}" else kwargs) if part))


def _from_body(body: Any) -> tuple[str | None, str | None]:
    """Return both reprs for a producer that sends none: protocol 2 of Celery is `[args, kwargs, embed]`."""
    try:
        args, kwargs, *_ = json.loads(body)
    except (TypeError, ValueError):
        return repr(body), None
    return repr(args), repr(kwargs)


def _last_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    deaths = headers.get("x-death")
    if not isinstance(deaths, list) or not deaths or not isinstance(deaths[0], dict):
        return {}
    latest: Mapping[str, Any] = deaths[0]  # the most recent one comes first
    return latest


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _time(value: object) -> datetime | None:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None
