"""Broker and result store: the bundled ones, and your own."""

from typing import Annotated, Any

from pydantic import Field

from chart.models.base import Key, Manifest, MetricLabels, Model, OptionalName, Port, Positive, Whole
from chart.models.pods import Resources, ServerPod, WholeImage
from chart.models.services import Persistence, sizes
from chart.models.workers import Probes, exec_probe

__all__ = ["ExternalRabbitmq", "ExternalRedis", "Management", "Rabbitmq", "RabbitmqAuth", "Redis", "RedisAuth", "Tls"]

Vhost = Annotated[str, Field(min_length=1)]
User = Annotated[str, Field(min_length=1)]
Part = Annotated[float, Field(gt=0, le=1)]
REDIS_PING = ["redis-cli", "-e", "ping"]


def tcp_probe(port: str, **rest: Any) -> Manifest:
    """Return a probe that opens a connection."""
    return {"tcpSocket": {"port": port}, **rest}


class RabbitmqAuth(Model):
    """The bundled broker's users."""

    username: User = Field("stalk", description="The app's user.")
    scaler_username: User = Field(
        "stalk-monitor", description="Reads queue lengths for KEDA and Flower: tag `monitoring`, no other right."
    )
    existing_secret: OptionalName = Field("", description="Your Secret with both passwords; generated unless set.")
    password_key: Key = Field("rabbitmq-password", description="The app's key in it.")
    scaler_password_key: Key = Field("rabbitmq-monitor-password", description="The scaler's key in it.")


class Rabbitmq(ServerPod):
    """The bundled broker: one node, the small default."""

    enabled: bool = Field(True, description="Run it; false: `externalRabbitmq`.")
    image: WholeImage = Field(
        WholeImage(registry="docker.io", repository="library/rabbitmq", tag="4-management"), description="Its image."
    )
    vhost: Vhost = Field("/", description="Virtual host.")
    auth: RabbitmqAuth = Field(RabbitmqAuth(), description="Users.")
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
    metrics_labels: MetricLabels = Field(
        {}, description="What your Prometheus puts on the broker's own metrics, to tell it from others: for alerts."
    )


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
            startup=exec_probe(REDIS_PING, periodSeconds=2, timeoutSeconds=5, failureThreshold=150),
            liveness=exec_probe(REDIS_PING, periodSeconds=20, timeoutSeconds=10, failureThreshold=6),
            readiness=exec_probe(REDIS_PING, periodSeconds=10, timeoutSeconds=5),
        ),
        description="Probes.",
    )
    persistence: Persistence = Field(Persistence(enabled=True), description="Its volume.")


class ExternalRedis(Login):
    """Your Redis or Valkey."""

    host: str = Field("", description="Host name.")
    port: Port = Field(6379, description="Port.")
    db: Whole = Field(0, description="Database number.")
    tls: Tls = Field(Tls(), description="TLS.")
    password: str = Field("", description="Password; better in existingSecret. With neither there is no login.")
