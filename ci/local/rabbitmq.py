"""A private RabbitMQ."""

import json
import subprocess
from pathlib import Path

import amqp

from local.ports import free_port
from local.programs import rabbitmq_server
from local.server import Server
from local.tls import Certificate
from stalk.settings import ConnectionSettings

__all__ = ["RabbitMQ"]


class RabbitMQ(Server):
    """One node with the management plugin, a user and a vhost; its node name, cookie, epmd and ports are its own.

    Args:
        folder: its data; the same folder again gives the same queues.
        user: name of its only user, an administrator.
        password: any characters.
        vhost: any characters.
        certificate: speak TLS (AMQP; management stays plain, on loopback).
    """

    name = "rabbitmq"

    def __init__(
        self,
        folder: Path,
        user: str = "user",
        password: str = "test",  # noqa: S107 (the local run's login, by design)
        vhost: str = "/",
        certificate: Certificate | None = None,
    ) -> None:
        super().__init__(folder)
        self.user = user
        self.password = password
        self.vhost = vhost
        self.certificate = certificate
        self.extra_config: list[str] = []
        """More lines of rabbitmq.conf."""
        self.plugins = ["rabbitmq_management"]
        self.port = free_port()
        self.management_port = free_port()
        self._epmd_port = free_port()
        self._distribution_port = free_port()

    @property
    def amqp_url(self) -> str:
        """URL of the AMQP listener, with login."""
        parts = {
            "broker_url": None,
            "broker_host": "localhost" if self.certificate else "127.0.0.1",
            "broker_port": self.port,
            "broker_vhost": self.vhost,
            "broker_user": self.user,
            "broker_password": self.password,
            "broker_tls": self.certificate is not None,
        }
        return ConnectionSettings.model_validate(parts).amqp_url()

    @property
    def management_url(self) -> str:
        """URL of the management plugin, without login."""
        return f"http://127.0.0.1:{self.management_port}"

    def configure(self) -> None:
        """Write rabbitmq.conf, the plugins and the definitions."""
        (self.folder / "enabled_plugins").write_text(f"[{','.join(self.plugins)}].\n")
        definitions = {
            "vhosts": [{"name": self.vhost}],
            "users": [{"name": self.user, "password": self.password, "tags": ["administrator"]}],
            "permissions": [
                {"user": self.user, "vhost": self.vhost, "configure": ".*", "write": ".*", "read": ".*"},
            ],
        }
        file = self.folder / "definitions.json"
        file.touch(0o600)
        file.write_text(json.dumps(definitions))
        lines = [
            f"load_definitions = {file}",
            "log.console.level = warning",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
            "disk_free_limit.absolute = 100MB",
            *self.extra_config,
        ]
        if self.certificate is None:
            lines += [f"listeners.tcp.local = 127.0.0.1:{self.port}"]
        else:
            lines += [
                "listeners.tcp = none",
                f"listeners.ssl.local = 127.0.0.1:{self.port}",
                f"ssl_options.cacertfile = {self.certificate.ca}",
                f"ssl_options.certfile = {self.certificate.chain}",
                f"ssl_options.keyfile = {self.certificate.key}",
            ]
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """Return the words that run the node."""
        return rabbitmq_server(self.folder)

    def control(self, *words: str) -> str:
        """Run `rabbitmqctl`, which lies beside the server, and return what it says.

        Raises:
            subprocess.CalledProcessError: it says no.
        """
        *enter, server = self.command()
        program = str(Path(server).with_name("rabbitmqctl"))
        run = [*enter, program, "--node", "stalk@localhost", *words]
        return subprocess.run(run, env=self.environment(), check=True, text=True, capture_output=True).stdout

    def environment(self) -> dict[str, str]:
        """Return the server's environment: everything that would otherwise be shared with a system RabbitMQ."""
        ours = {name: value for name, value in super().environment().items() if not name.startswith("RABBITMQ_")}
        return ours | {
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "stalk@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
        }

    def ping(self) -> None:
        """Log in over AMQP."""
        tls = {"server_hostname": "localhost", "ca_certs": str(self.certificate.ca)} if self.certificate else False
        connection = amqp.Connection(
            f"127.0.0.1:{self.port}",
            userid=self.user,
            password=self.password,
            virtual_host=self.vhost,
            ssl=tls,
            connect_timeout=5,
            read_timeout=10,
        )
        with connection:
            connection.connect()
