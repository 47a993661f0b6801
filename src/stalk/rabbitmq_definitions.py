"""`stalk rabbitmq-definitions`: users, virtual host and permissions as a file that RabbitMQ loads when it starts.

`load_definitions` works with every RabbitMQ image; `RABBITMQ_DEFAULT_USER` is a matter of one image's entry point.
"""

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stalk.private_file import write_private

__all__ = ["definitions", "password_hash", "rabbitmq_definitions"]

SALT_BYTES = 4  # RabbitMQ's own


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
    """Return the definitions for `RABBITMQ_USER`, and `RABBITMQ_SCALER_USER` if it is set, in `RABBITMQ_VHOST`.

    Raises:
        ValueError: a variable is missing, or one user is named twice; the text says what to set.
    """
    vhost = environment.get("RABBITMQ_VHOST") or "/"
    app = _login(environment, "RABBITMQ")
    # `management` lets KEDA and Flower read the queues of the virtual hosts that the user may use.
    users, permissions = [_user(*app, "management")], [_permission(app[0], vhost, ".*")]
    if environment.get("RABBITMQ_SCALER_USER"):
        scaler = _login(environment, "RABBITMQ_SCALER")
        if scaler[0] == app[0]:
            raise ValueError("RABBITMQ_SCALER_USER is RABBITMQ_USER; give the scaler a user of its own, or none")
        # `monitoring` reads every queue's length; the empty permission lets it into the virtual host, to no message.
        users.append(_user(*scaler, "monitoring"))
        permissions.append(_permission(scaler[0], vhost, "^$"))
    return {
        "permissions": sorted(permissions, key=lambda permission: permission["user"]),
        "users": sorted(users, key=lambda user: str(user["name"])),
        "vhosts": [{"name": vhost}],
    }


def password_hash(password: bytes, salt: bytes) -> str:
    """Return the password as `rabbit_password_hashing_sha256` keeps it."""
    return base64.b64encode(salt + hashlib.sha256(salt + password).digest()).decode()


def _login(environment: Mapping[str, str], prefix: str) -> tuple[str, str]:
    for name in (f"{prefix}_USER", f"{prefix}_PASSWORD"):
        if not environment.get(name):
            raise ValueError(f"set {name}: RabbitMQ starts with the users {prefix}_USER and {prefix}_PASSWORD name")
    return environment[f"{prefix}_USER"], environment[f"{prefix}_PASSWORD"]


def _permission(user: str, vhost: str, pattern: str) -> dict[str, str]:
    return {"configure": pattern, "read": pattern, "user": user, "vhost": vhost, "write": pattern}


def _user(name: str, password: str, tag: str) -> dict[str, Any]:
    return {
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "name": name,
        "password_hash": password_hash(os.fsencode(password), secrets.token_bytes(SALT_BYTES)),
        "tags": [tag],
    }
