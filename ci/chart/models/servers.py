"""Broker and result store: the bundled ones, and your own."""

from typing import Annotated, Any

from pydantic import Field

from chart.models.base import Key, Manifest, Model, OptionalName, Port, Positive, Whole
from chart.models.pods import Resources, ServerPod, WholeImage
from chart.models.services import Persistence, sizes
from chart.models.workers import Probes

__all__ = ["ExternalRabbitmq", "ExternalRedis", "Management", "Rabbitmq", "RabbitmqAuth", "Redis", "RedisAuth", "Tls"]

Vhost = Annotated[str, Field(min_length=1)]
User = Annotated[str, Field(min_length=1)]
Pattern = Annotated[str, Field(min_length=1)]
Part = Annotated[float, Field(gt=0, le=1)]


def tcp_probe(port: str, **rest: Any) -> Manifest:
    """Return a probe that opens a connection."""
    return {"tcpSocket": {"port": port}, **rest}


class ServerTls(Model):
    """TLS of a bundled server."""

    enabled: bool = Field(False, description="Speak TLS, and nothing else; clients check certificate and name.")
    existing_secret: OptionalName = Field("", description="Your Secret with the three keys, as cert-manager makes it.")
    cert_key: Key = Field("tls.crt", description="The key of the certificate, with its chain.")
    key_key: Key = Field("tls.key", description="The key of its private key.")
    ca_key: Key = Field("ca.crt", description="The key of the CA that clients check it against.")


class WorkerRights(Model):
    """What workers may do beyond what Celery needs: patterns of names of queues and exchanges."""

    configure: list[Pattern] = Field([], description="Declare and delete.")
    write: list[Pattern] = Field([], description="Publish to an exchange, bind a queue.")
    read: list[Pattern] = Field([], description="Consume and purge a queue, bind to an exchange.")


class RabbitmqAuth(Model):
    """The bundled broker's users."""

    username: User = Field("stalk", description="User of API, topology Job, beat and Flower: declares everything.")
    worker_username: User = Field(
        "stalk-worker",
        description="User of the workers: works on every queue, deletes none, reads no dead letters. "
        "Without `topology.enabled` workers declare, and are the user above.",
    )
    worker_rights: WorkerRights = Field(
        WorkerRights(), description="What an app's own exchanges and queues need beyond that."
    )
    scaler_username: User = Field(
        "stalk-monitor", description="Reads queue lengths for KEDA and Flower: tag `monitoring`, no other right."
    )
    existing_secret: OptionalName = Field("", description="Your Secret with the three passwords; generated unless set.")
    password_key: Key = Field("rabbitmq-password", description="The app's key in it.")
    worker_password_key: Key = Field("rabbitmq-worker-password", description="The workers' key in it.")
    scaler_password_key: Key = Field("rabbitmq-monitor-password", description="The scaler's key in it.")


class Rabbitmq(ServerPod):
    """The bundled broker: one node, the small default."""

    enabled: bool = Field(True, description="Run it; false: `externalRabbitmq`.")
    image: WholeImage = Field(
        WholeImage(registry="docker.io", repository="library/rabbitmq", tag="4-management"), description="Its image."
    )
    vhost: Vhost = Field("/", description="Virtual host.")
    auth: RabbitmqAuth = Field(RabbitmqAuth(), description="Users.")
    tls: ServerTls = Field(ServerTls(), description="TLS, of AMQP and of the management API.")
    statistics_seconds: Positive = Field(
        1, le=60, description="How often queue lengths are counted; what KEDA reads is about twice as old at most."
    )
    disk_free_limit: str = Field(
        "256MB", pattern=r"^[0-9]+([kKMGT]i?B?)?$", description="Free disk below which publishers are blocked."
    )
    memory_high_watermark: Part = Field(0.6, description="Part of `limits.memory` at which publishers are blocked.")
    extra_config: str = Field("", description="More lines of rabbitmq.conf.")
    resources: Resources | None = Field(
        sizes(("200m", "512Mi"), ("2", "1Gi")), description="Requests and limits of the main container."
    )
    pod_security_context: Manifest | None = Field(
        {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999}, description="The image's user."
    )
    termination_grace_period_seconds: Positive | None = Field(120, description="From SIGTERM to SIGKILL.")
    probes: Probes = Field(
        Probes(
            startup=tcp_probe("amqp", periodSeconds=2, failureThreshold=150),
            liveness=tcp_probe("amqp", periodSeconds=20, timeoutSeconds=10, failureThreshold=6),
            readiness=tcp_probe("amqp", periodSeconds=10, timeoutSeconds=5),
        ),
        description="Probes.",
    )
    persistence: Persistence = Field(Persistence(enabled=True, size="2Gi"), description="Its volume.")


class Tls(Model):
    """TLS to a server of yours."""

    enabled: bool = Field(False, description="Speak TLS.")
    ca_secret: OptionalName = Field("", description="Secret with the CA; the system's CAs unless set.")
    ca_key: Key = Field("ca.crt", description="The key in it.")


class Login(Model):
    """A login, in the values or in a Secret of yours."""

    username: str = Field("", description="User name.")
    password: str = Field("", description="Password; better in existingSecret.")
    existing_secret: OptionalName = Field("", description="Your Secret.")
    username_key: Key | Annotated[str, Field(max_length=0)] = Field(
        "", description="Take the user name from this key of it too."
    )
    password_key: Key = Field("password", description="The key of the password in it.")


class Management(Login):
    """The broker's management API, which KEDA and Flower read."""

    url: str = Field(
        "", pattern=r"^(https?://[^/@\s]+(/[^\s]*)?)?$", description="Its URL, without a login. Needed by mode keda."
    )
    username: str = Field("", description="A user with the tag `monitoring`; the app's user unless set.")


class ExternalRabbitmq(Login):
    """Your broker."""

    host: str = Field("", description="Host name.")
    port: Port | None = Field(None, description="Port; 5672, or 5671 with TLS, unless set.")
    vhost: Vhost = Field("/", description="Virtual host.")
    tls: Tls = Field(Tls(), description="TLS; the CA is for an https management URL too.")
    consumer_timeout_seconds: Positive = Field(
        1800, description="The broker's consumer_timeout, in seconds: no task may be longer."
    )
    management: Management = Field(Management(), description="What KEDA and Flower read.")


class RedisAuth(Model):
    """The bundled Redis's password."""

    existing_secret: OptionalName = Field("", description="Your Secret with the password; generated unless set.")
    password_key: Key = Field("redis-password", description="The key in it.")


class Redis(ServerPod):
    """The bundled result store: one node, the small default."""

    enabled: bool = Field(True, description="Run it; false: `externalRedis`.")
    image: WholeImage = Field(
        WholeImage(registry="docker.io", repository="library/redis", tag="8"), description="Its image."
    )
    auth: RedisAuth = Field(RedisAuth(), description="Password.")
    tls: ServerTls = Field(ServerTls(), description="TLS.")
    max_memory: Part = Field(0.75, description="Part of `limits.memory` at which writes are refused.")
    extra_config: str = Field("", description="More lines of redis.conf.")
    resources: Resources | None = Field(
        sizes(("50m", "64Mi"), ("1", "256Mi")), description="Requests and limits of the main container."
    )
    pod_security_context: Manifest | None = Field(
        {"runAsUser": 999, "runAsGroup": 1000, "fsGroup": 1000}, description="The image's user."
    )
    termination_grace_period_seconds: Positive | None = Field(60, description="From SIGTERM to SIGKILL.")
    probes: Probes = Field(
        Probes(
            startup={"periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 150},
            liveness={"periodSeconds": 20, "timeoutSeconds": 10, "failureThreshold": 6},
            readiness={"periodSeconds": 10, "timeoutSeconds": 5},
        ),
        description="Probes: `redis-cli ping`, unless one says exec or tcpSocket itself.",
    )
    persistence: Persistence = Field(Persistence(enabled=True), description="Its volume.")


class ExternalRedis(Login):
    """Your Redis or Valkey."""

    host: str = Field("", description="Host name.")
    port: Port = Field(6379, description="Port.")
    db: Whole = Field(0, description="Database number.")
    tls: Tls = Field(Tls(), description="TLS.")
    password: str = Field("", description="Password; better in existingSecret. With neither there is no login.")
