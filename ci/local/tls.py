"""A server certificate, as the two servers want it."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Certificate"]


@dataclass(frozen=True)
class Certificate:
    """PEM files of a server; a server that is given one speaks nothing but TLS."""

    ca: Path
    chain: Path
    key: Path
