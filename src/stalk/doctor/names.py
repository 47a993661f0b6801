"""Names of Services, on a machine that does not know them.

A certificate names the Service, and so must a client that checks it. AMQP, HTTP and Redis clients have no common way to
connect to one place and check another, but all of them look names up.
"""

import socket
from typing import Any, Self

__all__ = ["Names"]

HERE = "127.0.0.1"


class Names:
    """Lets names of Services lead to local ports, in this process, for as long as the `with` lasts."""

    def __init__(self) -> None:
        self._ways: dict[tuple[str, int], int] = {}
        self._look_up: Any = socket.getaddrinfo

    def lead(self, host: str, port: int, local: int) -> None:
        """Let who connects to `host` and `port` arrive at a port of this machine."""
        self._ways[host, port] = local

    def __enter__(self) -> Self:
        self._look_up = socket.getaddrinfo
        socket.getaddrinfo = self._getaddrinfo
        return self

    def __exit__(self, *_: object) -> None:
        socket.getaddrinfo = self._look_up

    def _getaddrinfo(self, host: Any, port: Any, *arguments: Any, **more: Any) -> Any:
        local = self._ways.get((host, int(port))) if isinstance(host, str) and str(port).isdecimal() else None
        where = (host, port) if local is None else (HERE, local)
        return self._look_up(*where, *arguments, **more)
