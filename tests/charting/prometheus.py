"""Prometheus' own `promtool`, for rendered rules."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from charting.objects import of_kind
from charting.rendering import Object

__all__ = ["promtool", "rule_groups", "rules"]


def promtool(*words: str, folder: Path) -> tuple[bool, str]:
    """Run promtool; return whether it was content, and what it said."""
    program = shutil.which("promtool")
    assert program, "promtool needed. Type once:  sudo apt-get install prometheus   (or: sudo make test-setup)"
    done = subprocess.run(
        [program, *words], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode == 0, done.stdout


def rules(objects: list[Object]) -> list[dict[str, Any]]:
    """Return the rules of every PrometheusRule."""
    return [
        rule
        for thing in of_kind(objects, "PrometheusRule")
        for group in thing["spec"]["groups"]
        for rule in group["rules"]
    ]


def rule_groups(objects: list[Object]) -> str:
    """Return them as a rule file of Prometheus."""
    groups = [group for thing in of_kind(objects, "PrometheusRule") for group in thing["spec"]["groups"]]
    return yaml.safe_dump({"groups": groups})
