"""Writing a file that holds a secret."""

import os
from pathlib import Path

__all__ = ["write_private"]


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner and its group read, and replace an earlier one at once.

    The group reads it because the broker's container shares this one's `fsGroup`, not its user.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    # Created without rights for others: a chmod afterwards would leave a moment in which they could read it.
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o640)  # a umask of 077 would keep the group out
        file.write(text)
    part.replace(path)
