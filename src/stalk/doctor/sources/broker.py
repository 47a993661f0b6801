"""What RabbitMQ says over AMQP: may this app log in, and is what it needs declared?"""

from typing import Any
from urllib.parse import urlsplit

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, NotFound, PreconditionFailed
from kombu.transport.native_delayed_delivery import CELERY_DELAYED_DELIVERY_EXCHANGE, MAX_LEVEL, level_name

from stalk.celery.queues import dead_letter_queue_name
from stalk.doctor.facts import BrokerFacts, Problem
from stalk.doctor.sources.network import CONNECT_SECONDS, why
from stalk.doctor.target import Target

__all__ = ["ask_broker"]

OPTIONS = {"read_timeout": 4, "write_timeout": 4}


def ask_broker(target: Target) -> BrokerFacts:
    """Log in as the app does, and look at its queues and exchanges. Nothing is declared that is not there."""
    app = target.app
    kombu = app.connection_for_write(connect_timeout=CONNECT_SECONDS, transport_options=OPTIONS)
    url = urlsplit(str(app.conf.broker_url))
    host, port = kombu.hostname or "localhost", int(kombu.port or url.port or 5672)
    try:
        connection: Any = kombu.transport.establish_connection()
    except AccessRefused as error:
        return BrokerFacts(Problem("login", f"{host}:{port}", str(error.reply_text)))
    except NotAllowed as error:
        return BrokerFacts(Problem("vhost", f"{host}:{port}", str(error.reply_text)))
    except (OSError, AMQPError) as error:
        return BrokerFacts(why(error, host, port, tls=bool(app.conf.broker_use_ssl)))
    try:
        return _look(_Asker(connection), target)
    finally:
        connection.collect()


class _Asker:
    """Passive declarations, each on a channel of its own: RabbitMQ closes it with the first refusal."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.version = str(connection.server_properties.get("version", ""))

    def queue(self, name: str) -> tuple[int, int] | None:
        """Return a queue's ready messages and consumers, or None for a queue that is not there."""
        with self._connection.channel() as channel:
            try:
                declared = channel.queue_declare(name, passive=True)
            except NotFound:
                return None
            return int(declared.message_count), int(declared.consumer_count)

    def exchange_exists(self, name: str) -> bool:
        """Tell whether an exchange is declared; the nameless default always is."""
        if not name:
            return True
        with self._connection.channel() as channel:
            try:
                channel.exchange_declare(name, "topic", passive=True)
            except NotFound:
                return False
            except AccessRefused:
                return True  # it may not be looked at, which is not to say that it is missing
            return True

    def difference(self, declare: Any) -> str:
        """Return what RabbitMQ answers to the declaration of a queue that exists; empty when it agrees."""
        with self._connection.channel() as channel:
            try:
                declare(channel)
            except PreconditionFailed as error:
                return str(error.reply_text)
            except AccessRefused:
                return ""  # a sender need not have the right to declare
        return ""


def _look(asker: _Asker, target: Target) -> BrokerFacts:
    ready, consumers, missing, inequivalent = {}, {}, [], {}
    for name in target.facts.queues:
        found = asker.queue(name)
        if found is None:
            missing.append(name)
            continue
        ready[name], consumers[name] = found
        queue = target.app.amqp.queues[name]
        answer = asker.difference(
            lambda channel, queue=queue: channel.queue_declare(
                queue.name,
                durable=queue.durable,
                exclusive=queue.exclusive,
                auto_delete=queue.auto_delete,
                arguments=queue.queue_arguments,
            )
        )
        if answer:
            inequivalent[name] = answer
        try:
            dead = asker.queue(dead_letter_queue_name(name))
        except AccessRefused:
            dead = None  # a worker's user has no right to dead letters
        if dead is not None:
            ready[dead_letter_queue_name(name)] = dead[0]
    exchanges = sorted({exchange for exchange, _ in target.facts.queues.values()})
    delayed = any(arguments.get("x-queue-type") == "quorum" for arguments in target.facts.arguments.values())
    return BrokerFacts(
        version=asker.version,
        missing_queues=missing,
        ready=ready,
        consumers=consumers,
        inequivalent=inequivalent,
        missing_exchanges=[name for name in exchanges if not asker.exchange_exists(name)],
        delayed_missing=delayed
        and not all(map(asker.exchange_exists, (level_name(MAX_LEVEL), CELERY_DELAYED_DELIVERY_EXCHANGE))),
    )
