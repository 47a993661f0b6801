"""The version before this one: its chart, and an image of it in the cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.images import built, loaded
from release.previous import previous

__all__ = ["ROOT", "Released", "previously_released"]

ROOT = Path(__file__).parents[2]
REGISTRY, REPOSITORY = "ghcr.io", "stalk-celery/stalk"


@dataclass(frozen=True)
class Released:
    """A version of chart and image."""

    version: str
    chart: Path
    image: dict[str, Any]
    """As in values.yaml."""


def previously_released(folder: Path) -> Released:
    """Take the version before this one out of git, build its image and bring it into the cluster.

    Nothing of it is optional: what is missing fails the test that asks.

    Args:
        folder: for its source tree.
    """
    found = previous(ROOT)
    tree = found.extract(folder)
    tag = f"before-{found.commit[:12]}"
    name = f"{REGISTRY}/{REPOSITORY}:{tag}"
    built(name, tree / "images" / "Dockerfile", tree)
    loaded(name)
    image = {"registry": REGISTRY, "repository": REPOSITORY, "tag": tag, "digest": "", "pullPolicy": "IfNotPresent"}
    return Released(found.version, tree / "charts" / "stalk", image)
