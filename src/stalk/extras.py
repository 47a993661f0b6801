"""How one of this package's extras is installed. It is on no package index: docs/install.md."""

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from stalk import __version__

__all__ = ["install", "wheel"]

_NAME = "stalk-celery"
_RELEASES = "https://github.com/stalk-celery/stalk/releases/download"


def install(*extras: str) -> str:
    """Return the line that installs extras of this version: from the checkout that it came from, else its release."""
    wanted = f"[{','.join(extras)}]"
    checkout = _checkout()
    if checkout is not None:
        return f"pip install {shlex.quote(f'{checkout}{wanted}')}"
    return f"pip install {shlex.quote(f'{_NAME}{wanted} @ {wheel()}')}"


def wheel(version: str = __version__) -> str:
    """Return where the wheel of a version is: among the files of its release on GitHub (ci/publish/release)."""
    return f"{_RELEASES}/v{version}/stalk_celery-{version}-py3-none-any.whl"


def _checkout() -> Path | None:
    """Return the folder that this package was installed from, if it is still there.

    What installs it writes that down: https://packaging.python.org/en/latest/specifications/direct-url/.
    """
    try:
        written = distribution(_NAME).read_text("direct_url.json")
        recorded = json.loads(written or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    if "dir_info" not in recorded:
        return None
    folder = Path(url2pathname(urlsplit(recorded["url"]).path))
    return folder if (folder / "pyproject.toml").is_file() else None
