"""`stalk redis-config`: the Redis password as a line of redis.conf.

On the command line of `redis-server` it would show in `ps`, and unquoted in a file a `#` or a space would cut it.
"""

import os
from pathlib import Path

from stalk.private_file import write_private

__all__ = ["quoted", "redis_config"]


def redis_config(output: str) -> str | None:
    """Write `requirepass` with the password of `REDIS_PASSWORD`; return what is wrong, or None."""
    password = os.environ.get("REDIS_PASSWORD", "")
    if not password:
        return "set REDIS_PASSWORD: the password that clients of Redis will need"
    try:
        write_private(Path(output), f"requirepass {quoted(os.fsencode(password))}\n")
    except OSError as error:
        return f"cannot write {output}: {error.strerror}"
    print(f"wrote {output}")
    return None


def quoted(value: bytes) -> str:
    r"""Return a value as redis.conf writes it: in double quotes, where `\"`, `\\` and `\xHH` are known."""
    return '"' + "".join(_escaped(byte) for byte in value) + '"'


def _escaped(byte: int) -> str:
    if chr(byte) in '"\\':
        return f"\\{byte:c}"
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"
