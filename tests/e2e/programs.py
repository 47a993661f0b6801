"""Programs that run in a pod of a test: `python3 -c <source>`, so that no shell is needed."""

import inspect
from collections.abc import Callable

__all__ = ["attempt", "command", "source_of"]


def attempt(host: str, port: str) -> str:
    """Connect to a TCP port and return `open`, or how it is closed: `refused`, `timeout` or the system's error."""
    import socket

    try:
        with socket.create_connection((host, int(port)), timeout=3):
            return "open"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return f"error {error}"


def command(host: str, port: int) -> list[str]:
    """Return the words that print what `attempt` returns."""
    source = f"{source_of(attempt)}\nimport sys\nprint(attempt(*sys.argv[1:]))"
    return ["python3", "-c", source, host, str(port)]


def source_of(function: Callable[..., object]) -> str:
    """Return a function's source, which must import what it uses."""
    return inspect.getsource(function)
