"""`stalk flower`: turns the passwords of the environment into Flower's own options, and becomes Celery.

Flower wants `user:password`, and a URL with the login of the management API in it. On a command line they would show in
`ps`, and in a pod's spec they cannot be composed of any password; so that happens here, and Celery inherits them.
"""

import os
import sys
from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic import Field, SecretStr

from stalk.settings import ConnectionSettings, load

__all__ = ["FlowerSettings", "environment", "flower"]

OURS = ("FLOWER_USER", "FLOWER_PASSWORD", "BROKER_MANAGEMENT_USER", "BROKER_MANAGEMENT_PASSWORD")
SECRET_FLAGS = {"basic_auth": "FLOWER_USER and FLOWER_PASSWORD", "broker_api": "BROKER_MANAGEMENT_URL"}
OPENSSL_CA = "SSL_CERT_FILE"

UNQUOTED = "!$&'()*+,;="


class FlowerSettings(ConnectionSettings):
    """What Flower needs beside the broker."""

    flower_user: str | None = Field(None, description="User name for Flower's page.")
    flower_password: SecretStr | None = Field(None, description="Password for Flower's page.")
    flower_basic_auth: SecretStr | None = Field(None, description="Both as `user:password`, instead of the two above.")
    broker_management_url: str | None = Field(
        None, description="RabbitMQ's management API without a login, for example `http://rabbitmq:15672`."
    )
    broker_management_user: str | None = Field(None, description="User of the management API; else the broker's.")
    broker_management_password: SecretStr | None = Field(None, description="Its password; else the broker's.")


def flower(app_name: str, port: int, more: Sequence[str]) -> str | None:
    """Replace this process by `celery flower`; return what is wrong when that cannot be.

    Args:
        app_name: as for `celery -A`.
        port: where Flower listens.
        more: further arguments of Flower, which have no passwords in them.
    """
    for argument in more:
        flag = argument.lstrip("-").partition("=")[0].replace("-", "_")
        if flag in SECRET_FLAGS:
            return f"{argument.partition('=')[0]} would show a password in the process list; set {SECRET_FLAGS[flag]}"
    try:
        added = environment(load(FlowerSettings))
    except ValueError as error:
        return str(error)
    kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in OURS}
    sys.stdout.flush()
    try:
        os.execvpe("celery", ["celery", "-A", app_name, "flower", f"--port={port}", *more], kept | added)  # noqa: S606
    except OSError as error:
        return f"cannot start celery: {error.strerror}; is it installed, and on PATH?"


def environment(settings: FlowerSettings) -> dict[str, str]:
    """Return the variables to start Flower with.

    Raises:
        ValueError: the login is missing, or it or the URL is one that Flower cannot use.
    """
    added = {"FLOWER_BASIC_AUTH": _basic_auth(settings)}
    if settings.broker_management_url:
        added["FLOWER_BROKER_API"] = _broker_api(settings, settings.broker_management_url)
        # Flower 2.2 gives its HTTP client no CA of py-amqp's options: OpenSSL's own variable says which file it trusts.
        if (
            settings.broker_tls_ca
            and added["FLOWER_BROKER_API"].startswith("https:")
            and not os.environ.get(OPENSSL_CA)
        ):
            added[OPENSSL_CA] = str(settings.broker_tls_ca)
    return added


def _basic_auth(settings: FlowerSettings) -> str:
    user, password = settings.flower_user, _value(settings.flower_password)
    if settings.flower_basic_auth is not None:
        if user or password:
            raise ValueError("FLOWER_BASIC_AUTH is set beside FLOWER_USER or FLOWER_PASSWORD; keep one or the other")
        user, colon, password = settings.flower_basic_auth.get_secret_value().partition(":")
        if not (user and colon and password):
            raise ValueError("FLOWER_BASIC_AUTH is not user:password")
        return _carried("FLOWER_BASIC_AUTH", f"{user}:{password}")
    if not user or not password:
        missing = " and ".join(
            name for name, value in (("FLOWER_USER", user), ("FLOWER_PASSWORD", password)) if not value
        )
        raise ValueError(f"Flower can stop and start tasks and does not run without a login; set {missing}")
    if ":" in user:
        raise ValueError("FLOWER_USER has a colon, which ends a user name in HTTP basic authentication; choose another")
    return f"{_carried('FLOWER_USER', user)}:{_carried('FLOWER_PASSWORD', password)}"


def _carried(name: str, value: str) -> str:
    """Return a value that Flower can use as it is."""
    for has, problem in (
        ("," in value, "a comma, at which Flower cuts it in two"),
        (not value.isascii(), "a character that is not ASCII, which Flower cannot compare"),
        (any(ord(character) < 32 or ord(character) == 127 for character in value), "a control character or a line end"),
    ):
        if has:
            raise ValueError(f"{name} has {problem}; choose another")
    return value


def _broker_api(settings: FlowerSettings, url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname and parts.netloc
        port_is_one = parts.port != 0
    except ValueError:
        host = None
    if not host or not port_is_one or parts.scheme not in ("http", "https"):
        raise ValueError("BROKER_MANAGEMENT_URL is not an http:// or https:// URL such as http://rabbitmq:15672")
    if "@" in host:
        raise ValueError(
            "BROKER_MANAGEMENT_URL has a login; set BROKER_MANAGEMENT_USER and BROKER_MANAGEMENT_PASSWORD instead"
        )
    user = settings.broker_management_user
    password = _value(settings.broker_management_password)
    if (user is None) != (password is None):
        raise ValueError("BROKER_MANAGEMENT_USER and BROKER_MANAGEMENT_PASSWORD go together; set both or neither")
    broker = urlsplit(settings.amqp_url())
    same = (user, password) == (unquote(broker.username or ""), unquote(broker.password or ""))
    # Without a login in the URL Flower takes the broker's, and then any character works.
    if user is not None and password is not None and not same:
        host = f"{_sent('BROKER_MANAGEMENT_USER', user)}:{_sent('BROKER_MANAGEMENT_PASSWORD', password)}@{host}"
    # Flower puts queues/<vhost> behind the last slash.
    path = parts.path.rstrip("/").removesuffix("/api") + "/api/"
    return urlunsplit((parts.scheme, host, path, "", ""))


def _sent(name: str, value: str) -> str:
    """Return a part of a login that means the same quoted and not: Flower 2.2 sends it as the URL has it."""
    if value != quote(value, safe=UNQUOTED):
        raise ValueError(
            f"{name} has a character that Flower cannot send to the management API; "
            f"choose another of letters, digits and -._~{UNQUOTED}"
        )
    return value


def _value(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
