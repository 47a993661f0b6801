"""What `stalk doctor` says of a release, from a machine with a kubeconfig."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from e2e.harness import Release
from snippets.pastes import unpasteable

__all__ = ["BUSY_SECONDS", "STALK", "ask", "diagnose", "evidence", "names"]

STALK = Path(sys.executable).parent / "stalk"
BUSY_SECONDS = 25
"""What is promised is 15, which tests/integration/test_doctor.py holds it to; here a whole cluster runs beside it."""
SECRETS = ("rabbitmq-password", "rabbitmq-monitor-password", "redis-password", "flower-password")


def ask(
    words: Sequence[str], environment: Mapping[str, str], namespace: str = ""
) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """Ask the doctor; again where the API server of a busy machine was too late for it.

    Args:
        words: behind `stalk doctor --json`.
        environment: of the process.
        namespace: of the release, where the words do not name it and the doctor knows it.

    Returns:
        What it says, and the command that has said it.
    """
    command = [str(STALK), "doctor", "--json", *words]
    for _ in range(3):
        done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=60, check=False)
        if not _late(done):
            break
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["seconds"] < BUSY_SECONDS
    assert unpasteable(said, dict(pairwise(words)).get("--namespace", namespace)) == []
    return said, done


def _late(done: subprocess.CompletedProcess[str]) -> bool:
    if not done.stdout.startswith("{"):
        return "Kubernetes did not answer within" in done.stderr
    return any("no answer" in each["why"] for each in json.loads(done.stdout)["unchecked"])


def diagnose(release: Release, *words: str) -> dict[str, Any]:
    said, done = ask(["--namespace", release.namespace, *words], release.environment)
    for key in SECRETS:
        assert release.secret(key) not in done.stdout + done.stderr
    assert said["exit_code"] == done.returncode
    return said


def evidence(said: dict[str, Any], finding: str = "") -> str:
    """Return the evidence of one kind of finding, or of all."""
    return "\n".join(each["evidence"] for each in said["findings"] if finding in ("", each["id"]))


def names(said: dict[str, Any]) -> set[str]:
    """Return the ids of what was found."""
    return {each["id"] for each in said["findings"]}
