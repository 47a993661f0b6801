"""What RabbitMQ's management API says: the same numbers that KEDA and Flower see."""

import base64
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from stalk.doctor.facts import ManagementFacts, Problem
from stalk.doctor.sources.network import CONNECT_SECONDS, why
from stalk.doctor.target import Target

__all__ = ["NotConfigured", "ask_management"]

QUEUE_COLUMNS = ",".join(
    (
        "name",
        "vhost",
        "type",
        "durable",
        "arguments",
        "effective_policy_definition",
        "messages",
        "messages_ready",
        "messages_unacknowledged",
        "consumers",
        "message_stats",
    )
)

# A proxy of the environment is for the world outside.
_NO_PROXY = urllib.request.ProxyHandler({})


class NotConfigured(Exception):
    """Nothing says where the management API is."""


def ask_management(target: Target) -> ManagementFacts:
    """Read queues of all virtual hosts, and bindings and consumers of the app's own.

    Raises:
        NotConfigured: BROKER_MANAGEMENT_URL is not set.
    """
    settings = target.settings
    if not settings.broker_management_url:
        raise NotConfigured("BROKER_MANAGEMENT_URL is not set")
    broker = urlsplit(str(target.app.conf.broker_url))
    secret = settings.broker_management_password
    user = settings.broker_management_user or unquote(broker.username or "")
    password = secret.get_secret_value() if secret is not None else unquote(broker.password or "")
    api = _Api(settings.broker_management_url, user, password, settings.broker_tls_ca)
    try:
        overview = api.get("/overview")
        queues = api.get(f"/queues?columns={QUEUE_COLUMNS}")
    except urllib.error.HTTPError as error:
        kind = "login" if error.code in (401, 403) else "other"
        return ManagementFacts(Problem(kind, api.url, f"{error.code} {error.reason}"))  # type: ignore[arg-type]
    except (OSError, ValueError) as error:
        url = urlsplit(api.url)
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        problem = cause if isinstance(cause, BaseException) else error
        port = url.port or (443 if url.scheme == "https" else 80)
        return ManagementFacts(why(problem, url.hostname or "", port, tls=url.scheme == "https"))
    vhost = quote(target.facts.vhost, safe="")
    bindings, unseen = api.get_or_why(f"/bindings/{vhost}")
    consumers, _ = api.get_or_why(f"/consumers/{vhost}")
    return ManagementFacts(
        stats_off=bool(overview.get("disable_stats")) and not overview.get("enable_queue_totals"),
        queues=queues,
        bindings=bindings,
        unseen=unseen,
        consumers=consumers,
    )


class _Api:
    def __init__(self, url: str, user: str, password: str, ca: Path | None) -> None:
        self.url = url.rstrip("/").removesuffix("/api")
        self._login = base64.b64encode(f"{user}:{password}".encode()).decode()
        context = ssl.create_default_context(cafile=ca)
        self._opener = urllib.request.build_opener(_NO_PROXY, urllib.request.HTTPSHandler(context=context))

    def get(self, path: str) -> Any:
        request = urllib.request.Request(f"{self.url}/api{path}", headers={"Authorization": f"Basic {self._login}"})  # noqa: S310
        with self._opener.open(request, timeout=CONNECT_SECONDS) as response:
            return json.load(response)

    def get_or_why(self, path: str) -> tuple[Any, str]:
        """Return what is there; or None, and why: a user without rights in the virtual host may not see it."""
        try:
            return self.get(path), ""
        except (OSError, ValueError) as error:
            return None, f"GET /api{path}: {error}"
