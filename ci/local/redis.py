"""A private Redis."""

from pathlib import Path

import redis

from local.ports import free_port
from local.programs import redis_server
from local.server import Server
from local.tls import Certificate
from stalk.redis_config import quoted
from stalk.settings import ConnectionSettings

__all__ = ["Redis"]


class Redis(Server):
    """A server that writes every change to disk, as a result store should.

    Args:
        folder: its data.
        password: any characters.
        certificate: speak TLS.
    """

    name = "redis"

    def __init__(self, folder: Path, password: str = "test", certificate: Certificate | None = None) -> None:  # noqa: S107
        super().__init__(folder)
        self.password = password
        self.certificate = certificate
        self.port = free_port()

    @property
    def url(self) -> str:
        """URL with login."""
        parts = {
            "redis_url": None,
            "redis_host": "localhost" if self.certificate else "127.0.0.1",
            "redis_port": self.port,
            "redis_password": self.password,
            "redis_tls_ca": self.certificate and self.certificate.ca,
        }
        return ConnectionSettings.model_validate(parts).results_url()

    def client(self) -> redis.Redis:
        """Return a client that answers with text."""
        return redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=10)

    def configure(self) -> None:
        """Write redis.conf: the password is not for `ps` to see."""
        lines = [
            "bind 127.0.0.1",
            f"dir {self.folder}",
            "appendonly yes",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            # A new title overwrites the environment, and with it the mark of `local.processes`.
            "set-proc-title no",
            f"requirepass {quoted(self.password.encode())}",
        ]
        if self.certificate is None:
            lines += [f"port {self.port}"]
        else:
            lines += [
                "port 0",
                f"tls-port {self.port}",
                "tls-auth-clients no",
                f"tls-ca-cert-file {self.certificate.ca}",
                f"tls-cert-file {self.certificate.chain}",
                f"tls-key-file {self.certificate.key}",
            ]
        file = self.folder / "redis.conf"
        file.touch(0o600)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def command(self) -> list[str]:
        """Return the words that run the server."""
        return [*redis_server(), str(self.folder / "redis.conf")]

    def ping(self) -> None:
        """Log in."""
        with self.client() as client:
            client.ping()
