"""What Redis says: may the app log in and write, and what is known of a task?"""

import json
import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.retry import Retry

from stalk.celery.keys import accepted_key, running_key
from stalk.doctor.facts import Problem, RedisFacts, TaskFacts
from stalk.doctor.sources.network import CONNECT_SECONDS, why
from stalk.doctor.target import Target

__all__ = ["ask_redis"]

PROBE_KEY = "stalk:doctor"
MOST_RESULTS = 2000
RECENT = timedelta(minutes=15)
"""How old a result may be that still counts as something that happens now."""


def ask_redis(target: Target, task_id: str | None) -> RedisFacts:
    """Log in as the app does; look at one task if it is named, and at recent results."""
    url = str(target.app.conf.result_backend)
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or 6379
    client = _client(url)
    try:
        with client:
            client.ping()
            return RedisFacts(
                write_problem=_write_problem(client),
                task=None if task_id is None else _task(client, target, task_id),
                not_registered=_not_registered(client, target),
            )
    except AuthenticationError as error:
        return RedisFacts(Problem("login", f"{host}:{port}", str(error)))
    except ResponseError as error:
        kind = "login" if str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM")) else "other"
        return RedisFacts(Problem(kind, f"{host}:{port}", str(error)))  # type: ignore[arg-type]
    except (RedisError, OSError) as error:
        return RedisFacts(why(error, host, port, tls=parts.scheme == "rediss"))


def _client(url: str) -> Any:
    return Redis.from_url(
        url, socket_timeout=CONNECT_SECONDS, socket_connect_timeout=CONNECT_SECONDS, retry=Retry(NoBackoff(), 0)
    )


def _write_problem(client: Any) -> str:
    try:
        client.set(PROBE_KEY, "1", px=1)
    except ResponseError as error:
        return str(error)
    return ""


def _task(client: Any, target: Target, task_id: str) -> TaskFacts:
    key = target.app.backend.get_key_for_task(task_id)  # type: ignore[attr-defined]
    payload, accepted, runs = client.get(key), client.exists(accepted_key(task_id)), client.get(running_key(task_id))
    status, error = _stored(payload)
    known, url = payload or accepted, str(target.app.conf.result_backend)
    elsewhere = [] if known else _other_databases(client, url, [key, accepted_key(task_id)])
    return TaskFacts(task_id, bool(accepted), status, error, elsewhere, (runs or b"").decode(errors="replace"))


def _stored(payload: bytes | None) -> tuple[str, str]:
    """Return a stored result's state and the class of its exception."""
    with suppress(ValueError, TypeError, AttributeError):
        meta = json.loads(payload or b"")
        result = meta.get("result")
        error = str(result.get("exc_type", "")) if isinstance(result, dict) else ""
        return str(meta.get("status", "")), error
    return ("stored, and not as JSON" if payload else ""), ""


def _other_databases(client: Any, url: str, keys: list[Any]) -> list[int]:
    """Return the databases that hold one of these keys, other than the client's own."""
    own = int(client.connection_pool.connection_kwargs.get("db") or 0)
    parts = urlsplit(url)
    found = []
    with suppress(RedisError):  # a server may forbid INFO or SELECT; then nobody knows
        for name in client.info("keyspace"):
            number = int(re.sub(r"\D", "", str(name)) or 0)
            if number == own:
                continue
            other: Any = _client(parts._replace(path=f"/{number}").geturl())
            with other:
                if other.exists(*keys):
                    found.append(number)
    return found


def _not_registered(client: Any, target: Target) -> dict[str, str]:
    """Return names of tasks that a worker refused lately as not registered, each with an id of it."""
    key = target.app.backend.get_key_for_task("*")  # type: ignore[attr-defined]
    pattern = key if isinstance(key, bytes) else str(key).encode()
    found: dict[str, str] = {}
    deadline, seen, cursor = time.monotonic() + 2, 0, 0
    with suppress(RedisError):
        while True:
            cursor, keys = client.scan(cursor, match=pattern, count=500)
            for payload in client.mget(keys) if keys else ():
                name, task_id = _refused(payload)
                if name:
                    found.setdefault(name, task_id)
            seen += len(keys)
            if not cursor or seen >= MOST_RESULTS or time.monotonic() > deadline:
                break
    return found


def _refused(payload: bytes | None) -> tuple[str, str]:
    if not payload or b"NotRegistered" not in payload:
        return "", ""
    with suppress(ValueError, TypeError, KeyError, IndexError):
        meta = json.loads(payload)
        done = datetime.fromisoformat(meta["date_done"])
        done = done if done.tzinfo else done.replace(tzinfo=UTC)
        if meta["result"]["exc_type"] == "NotRegistered" and datetime.now(UTC) - done < RECENT:
            message = meta["result"]["exc_message"]
            return str(message[0] if isinstance(message, list) else message).strip("'\""), str(meta["task_id"])
    return "", ""
