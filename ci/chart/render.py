"""Rendering the chart with the Helm that deploys it."""

import subprocess
from pathlib import Path

from chart.paths import CHART, ROOT

__all__ = ["KEDA_API", "RenderError", "render"]

KEDA_API = "keda.sh/v1alpha1/ScaledObject"


class RenderError(Exception):
    """Helm refuses; the text is what it says."""


def render(
    *values: Path, namespace: str = "stalk", keda: bool = True, kube_version: str = "1.35.0", tests: bool = False
) -> str:
    """Return `helm template` of a release named stalk, without the test hook unless `tests`."""
    files = [word for path in values for word in ("--values", str(path))]
    apis = ["--api-versions", KEDA_API] if keda else []
    command = [str(ROOT / "ci" / "deploy" / "helm"), "template", "stalk", str(CHART), "--namespace", namespace]
    command += [*([] if tests else ["--skip-tests"]), "--kube-version", kube_version, *apis, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RenderError(done.stderr.strip())
    return done.stdout
