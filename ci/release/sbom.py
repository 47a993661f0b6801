"""Software bills of materials (CycloneDX 1.5) of the locked Python packages, written by uv.

What uv makes up each time, a serial number and the time, is derived from the contents instead. The image's other half,
its base's Debian packages, is in the attestation that ci/publish/image pushes beside the image.
"""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from release.run import run

__all__ = ["EXTRAS", "sbom"]

EXTRAS: dict[str, Sequence[str]] = {"stalk-python": ("--all-extras",), "stalk-image": ("--extra", "service")}
"""Name of a bill: the extras of pyproject.toml in it. The first is the toolkit with everything one can ask for, the
second is what images/Dockerfile installs."""
_HOME = "https://github.com/stalk-celery/stalk"


def sbom(root: Path, name: str, version: str, epoch: int) -> str:
    """Return one bill as JSON.

    Args:
        root: a checkout.
        name: a key of `EXTRAS`.
        version: of the project.
        epoch: time to write into it, in seconds since 1970.

    Raises:
        PackageError: uv fails, or uv.lock is older than pyproject.toml.
    """
    words = ["export", "--quiet", "--preview-features", "sbom-export", "--format", "cyclonedx1.5", "--locked"]
    bill: dict[str, Any] = json.loads(run(root, root / "ci" / "uv", *words, "--no-default-groups", *EXTRAS[name]))
    bill["metadata"]["timestamp"] = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    bill["metadata"]["component"] |= {
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "externalReferences": [{"type": "website", "url": _HOME}],
    }
    del bill["serialNumber"]
    contents = json.dumps(bill, sort_keys=True)
    return json.dumps(bill | {"serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, contents).urn}, indent=2) + "\n"
