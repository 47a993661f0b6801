"""Ports of the loopback interface."""

import random
import socket

__all__ = ["free_port"]

# Below where Linux (32768), macOS and Windows (49152) take ports of outgoing connections from: between our answer and
# the server's start nobody else is given it. Above the ports that well-known servers have.
_OURS = range(20_000, 32_000)
_given: set[int] = set()


def free_port(preferred: int = 0) -> int:
    """Return a port of 127.0.0.1 that nobody listens on: the preferred one where it is free.

    The same port is not given twice to one process, except as the preferred one.

    Raises:
        OSError: all are taken.
    """
    if preferred and _is_free(preferred):
        return preferred
    for port in random.sample(_OURS, len(_OURS)):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise OSError("no free port on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still winding down counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
