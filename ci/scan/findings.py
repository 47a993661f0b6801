"""What checkov says of rendered manifests and of the Dockerfile, and whether it is explained."""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chart.paths import ROOT

__all__ = ["CHECKOV", "Finding", "judged", "scan"]

CHECKOV = "checkov==3.3.30"
"""In an environment of its own: it pins a packaging that pytest does not take."""
DOCKERFILE = "Dockerfile"


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that the scanner does not like."""

    check: str
    component: str
    """The label app.kubernetes.io/component, or `extra` for an object without one, or `Dockerfile`."""
    title: str
    where: str
    """File and object."""

    def __str__(self) -> str:
        return f"{self.check} ({self.component}): {self.title}: {self.where}"


def judged(findings: Iterable[Finding], explained: Mapping[tuple[str, str], str]) -> list[str]:
    """Return what is wrong: findings that nothing explains, and explanations that explain nothing."""
    unused, problems = set(explained), []
    for finding in sorted(set(findings)):
        keys = {(finding.check, finding.component), (finding.check, "*")} & set(explained)
        unused -= keys
        if not keys:
            problems.append(f"not explained: {finding}")
    return problems + [f"explained, but not found: {check} ({component})" for check, component in sorted(unused)]


def scan(manifests: Path, image: Path) -> list[Finding]:
    """Return what checkov finds, without asking anybody on the network.

    Args:
        manifests: a folder of YAML files, as rendered.
        image: a folder with a Dockerfile.

    Raises:
        RuntimeError: checkov cannot be run, or found nothing to look at.
    """
    components = {(str(file), name): component for file in manifests.glob("*.yaml") for name, component in _named(file)}
    found = []
    for failed in _failed("kubernetes", manifests):
        file = str(manifests / Path(failed["file_path"]).name)
        kind, _, name = failed["resource"].partition(".")
        component = components.get((file, f"{kind}.{name.rpartition('.')[2]}"), "extra")
        found.append(
            Finding(failed["check_id"], component, failed["check_name"], f"{Path(file).name} {failed['resource']}")
        )
    for failed in _failed("dockerfile", image):
        found.append(Finding(failed["check_id"], DOCKERFILE, failed["check_name"], failed["file_path"]))
    return found


def _named(file: Path) -> Iterable[tuple[str, str]]:
    for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
        if document:
            metadata = document["metadata"]
            component = metadata.get("labels", {}).get("app.kubernetes.io/component", "extra")
            yield f"{document['kind']}.{metadata['name']}", component


def _failed(framework: str, folder: Path) -> list[dict[str, Any]]:
    """Run checkov; the options turn off what it would fetch from or send to its maker."""
    words = [str(ROOT / "ci" / "uv"), "tool", "run", "--quiet", "--from", CHECKOV, "checkov"]
    words += ["--directory", str(folder), "--framework", framework, "--output", "json", "--skip-download", "--quiet"]
    words += ["--compact"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BC_", "CKV_", "PRISMA_"))}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=folder, timeout=300)
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"{CHECKOV} ends with {done.returncode}: {done.stderr.strip()[-500:]}")
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
        if answer["summary"]["parsing_errors"]:
            raise RuntimeError(f"{CHECKOV} cannot read {answer['results']['parsing_errors']}")
        failed: list[dict[str, Any]] = answer["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError):
        # It prints another form when it has seen nothing at all.
        raise RuntimeError(f"{CHECKOV} has looked at no {framework} file of {folder}: {done.stdout[:500]}") from None
    return failed
