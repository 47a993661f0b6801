"""Ports on loopback."""

import socket

__all__ = ["free_port"]


def free_port(preferred: int = 0) -> int:
    """Return a port of 127.0.0.1 that nobody listens on: the preferred one where it is free."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # As servers do: a port whose last connections are still winding down counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
