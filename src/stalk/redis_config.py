"""`stalk redis-config`: the Redis passwords as a line of redis.conf.

On the command line of `redis-server` they would show in `ps`. The file has their hashes, which need no quoting.
"""

import hashlib
import os
from pathlib import Path

from stalk.private_file import write_private

__all__ = ["quoted", "redis_config"]

# While passwords are changed, those of pods that still run are valid too.
PASSWORDS = ("REDIS_PASSWORD", "REDIS_PREVIOUS_PASSWORD", "REDIS_NEXT_PASSWORD")


def redis_config(output: str) -> str | None:
    """Write the user `default` with the environment's passwords; return what is wrong, or None.

    `REDIS_PASSWORD` is valid, and `REDIS_PREVIOUS_PASSWORD` and `REDIS_NEXT_PASSWORD` where they are set
    (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).
    """
    if not os.environ.get(PASSWORDS[0]):
        return "set REDIS_PASSWORD: the password that clients of Redis will need"
    passwords = dict.fromkeys(password for name in PASSWORDS if (password := os.environ.get(name)))
    hashes = " ".join(f"#{hashlib.sha256(os.fsencode(password)).hexdigest()}" for password in passwords)
    try:
        write_private(Path(output), f"user default on ~* &* +@all {hashes}\n")
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
