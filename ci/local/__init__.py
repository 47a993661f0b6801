"""Private RabbitMQ and Redis servers on loopback: for `make up`, for the tests and for the benchmarks."""

from local.ports import free_port
from local.rabbitmq import RabbitMQ
from local.redis import Redis
from local.tls import Certificate

__all__ = ["Certificate", "RabbitMQ", "Redis", "free_port"]
