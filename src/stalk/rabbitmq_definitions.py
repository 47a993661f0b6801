"""`stalk rabbitmq-definitions`: users, virtual host and permissions as a file that RabbitMQ loads when it starts.

`load_definitions` works with every RabbitMQ image; `RABBITMQ_DEFAULT_USER` is a matter of one image's entry point.
"""

import base64
import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stalk.private_file import write_private

__all__ = ["APP", "SCALER", "WORKER", "Rights", "definitions", "password_hash", "rabbitmq_definitions"]

SALT_BYTES = 4  # RabbitMQ's own


class Rights(NamedTuple):
    """What a user may do in the virtual host: patterns of names of queues and exchanges, and a management tag.

    What each AMQP method asks for: https://www.rabbitmq.com/docs/access-control#authorisation
    """

    configure: str
    """Declare and delete."""
    write: str
    """Publish to an exchange; bind a queue."""
    read: str
    """Consume and purge a queue; bind to an exchange."""
    tags: tuple[str, ...] = ()

    def more(self, configure: str = "", write: str = "", read: str = "") -> "Rights":
        """Return these rights, and those to the names that further patterns match."""
        return Rights(
            _either(self.configure, configure), _either(self.write, write), _either(self.read, read), self.tags
        )


def _either(pattern: str, further: str) -> str:
    return f"{pattern}|^({further})$" if further else pattern


APP = Rights(".*", ".*", ".*")
"""API, topology, beat, Flower: declares everything, reads dead letters and events. No management."""

# A worker's own mailbox and everybody's event and reply exchanges; all of them come again when they are gone.
_TALK = r"celeryev(\..+)?|(.+\.)?celery\.pidbox"
WORKER = Rights(
    configure=rf"^({_TALK})$",
    write=rf"^(stalk|celery_delayed_\d+|{_TALK})$",
    # Not by the queues' names: a change of them would restart the broker.
    read=r"^(?!celery_delayed_)(?!.*\.dead-letters$)",
)
"""A worker, which runs tasks of anybody's code: works on every task queue, deletes none, reads no dead letter."""

SCALER = Rights("^$", "^$", "^$", ("monitoring",))
"""KEDA and Flower's broker page: `monitoring` reads every queue's length; the empty patterns let it into the virtual
host, to no message."""

_ROLES = {"RABBITMQ": APP, "RABBITMQ_WORKER": WORKER, "RABBITMQ_SCALER": SCALER}


def rabbitmq_definitions(output: str) -> str | None:
    """Write the definitions of the environment's users; return what is wrong, or None."""
    try:
        text = json.dumps(definitions(os.environ), indent=2, sort_keys=True)
        write_private(Path(output), text + "\n")
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"cannot write {output}: {error.strerror}"
    print(f"wrote {output}")
    return None


def definitions(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the definitions of `RABBITMQ_USER`, `RABBITMQ_WORKER_USER` and `RABBITMQ_SCALER_USER` in `RABBITMQ_VHOST`.

    The last two may be left out. While logins are changed, `RABBITMQ_OTHER_USER` has the same rights with the password
    `RABBITMQ_NEXT_PASSWORD`, or `RABBITMQ_PREVIOUS_PASSWORD` if there is no next one; the same holds for the other two.
    `RABBITMQ_WORKER_CONFIGURE`, `_WRITE` and `_READ` are patterns of further names that a
    worker has the right to. RabbitMQ overwrites users and permissions of the same names with these when it starts.

    Raises:
        ValueError: a variable is missing or no pattern, or one user is named twice; the text says what to set.
    """
    vhost = environment.get("RABBITMQ_VHOST") or "/"
    users: dict[str, dict[str, Any]] = {}
    permissions = []
    for prefix, rights in _ROLES.items():
        if prefix != "RABBITMQ" and not environment.get(f"{prefix}_USER"):
            continue
        allowed = rights.more(**_patterns(environment, prefix))
        for name, password in _logins(environment, prefix):
            if name in users:
                raise ValueError(f"{prefix}_USER is {name}, as another user is; give each a name of its own")
            users[name] = _user(name, password, allowed.tags)
            permissions.append(_permission(name, vhost, allowed))
    return {
        "permissions": sorted(permissions, key=lambda permission: permission["user"]),
        "users": [users[name] for name in sorted(users)],
        "vhosts": [{"name": vhost}],
    }


def password_hash(password: bytes, salt: bytes) -> str:
    """Return the password as `rabbit_password_hashing_sha256` keeps it."""
    return base64.b64encode(salt + hashlib.sha256(salt + password).digest()).decode()


def _logins(environment: Mapping[str, str], prefix: str) -> list[tuple[str, str]]:
    """Return the user's login, and the other one that is valid at the same time, if there is one."""
    other = environment.get(f"{prefix}_OTHER_USER")
    # There is a next one only where a rotation was rolled back: its pods may still run.
    password = environment.get(f"{prefix}_NEXT_PASSWORD") or environment.get(f"{prefix}_PREVIOUS_PASSWORD")
    return [_login(environment, prefix), *([(other, password)] if other and password else [])]


def _login(environment: Mapping[str, str], prefix: str) -> tuple[str, str]:
    for name in (f"{prefix}_USER", f"{prefix}_PASSWORD"):
        if not environment.get(name):
            raise ValueError(f"set {name}: RabbitMQ starts with the users {prefix}_USER and {prefix}_PASSWORD name")
    return environment[f"{prefix}_USER"], environment[f"{prefix}_PASSWORD"]


def _patterns(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    found = {}
    for right in ("configure", "write", "read"):
        variable = f"{prefix}_{right.upper()}"
        pattern = found[right] = environment.get(variable, "")
        try:
            re.compile(pattern)  # RabbitMQ would start, and refuse everything
        except re.error as error:
            raise ValueError(f"{variable} is no regular expression: {error}") from error
    return found


def _permission(user: str, vhost: str, rights: Rights) -> dict[str, str]:
    return {
        "configure": rights.configure,
        "read": rights.read,
        "user": user,
        "vhost": vhost,
        "write": rights.write,
    }


def _user(name: str, password: str, tags: tuple[str, ...]) -> dict[str, Any]:
    return {
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "name": name,
        "password_hash": password_hash(os.fsencode(password), secrets.token_bytes(SALT_BYTES)),
        "tags": list(tags),
    }
