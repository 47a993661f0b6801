"""Images that a test builds and brings into the cluster."""

import os
import shlex
import subprocess
from pathlib import Path

__all__ = ["LOAD", "built", "loaded", "run"]

LOAD = "STALK_E2E_LOAD"
"""Environment variable with the command that brings a local image into a cluster, such as `kind load docker-image`."""


def built(name: str, dockerfile: Path, context: Path) -> None:
    """Build an image with Docker, with or without buildx."""
    environment = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    if subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode:
        environment["DOCKER_BUILDKIT"] = "0"
    run(["docker", "build", "--file", str(dockerfile), "--tag", name, str(context)], **environment)


def loaded(name: str) -> None:
    """Bring an image into the cluster with the command that `LOAD` names."""
    command = os.environ.get(LOAD)
    assert command, f"{LOAD} does not say how {name} gets into the cluster; for kind: kind load docker-image"
    run([*shlex.split(command), name])


def run(words: list[str], **environment: str) -> None:
    """Run a command with these variables beside the environment; what it printed is in the failure."""
    done = subprocess.run(
        words,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=480,
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}"
