"""The plain manifests in keda/, for people without Helm: what the chart renders, hooks first."""

import re
from pathlib import Path

from chart.paths import CHART, KEDA
from chart.render import render

__all__ = ["MANIFESTS", "manifest"]

NAMESPACE = """apiVersion: v1
kind: Namespace
metadata:
  name: stalk
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""
HEADER = """# {title}
# Written by `python ci/chart generate` from charts/stalk with {values}: change that, not this.
#   kubectl apply -f keda/{name}
#   kubectl -n stalk get secret stalk-credentials -o jsonpath='{{.data.flower-password}}' | base64 -d   # user: flower
# The image ghcr.io/stalk-celery/stalk is what `make image` builds: load it, or put your registry in its place.
# A Job cannot be changed, so before another version: kubectl -n stalk delete job stalk-credentials
{more}"""
MANIFESTS: dict[str, tuple[str, str, str]] = {
    "stalk-keda.yaml": (
        "Stalk with KEDA: workers from zero to ten by queue length. KEDA has to be there first (https://keda.sh).",
        "plain-keda.yaml",
        "# To remove it, ScaledObjects go first: kubectl -n stalk delete scaledobject --all\n",
    ),
    "stalk-hpa.yaml": (
        "Stalk without KEDA: workers from one to ten by CPU, API and Flower on node ports. Needs metrics-server.",
        "plain-hpa.yaml",
        "# API on port 30080 of a node, Flower on port 30555.\n",
    ),
}
"""File in keda/: title, values file in charts/stalk/ci, one more line."""


def manifest(name: str) -> str:
    """Return the text of a file in keda/."""
    title, values, more = MANIFESTS[name]
    path: Path = CHART / "ci" / values
    header = HEADER.format(title=title, name=name, values=path.relative_to(KEDA.parent), more=more)
    documents = [document.strip("\n") for document in re.split(r"(?m)^---\n", render(path)) if document.strip()]
    documents.sort(key=_place)
    return header + "\n---\n".join(["---\n" + NAMESPACE.rstrip("\n"), *documents]) + "\n"


def _place(document: str) -> int:
    """Return where a document goes: hooks first, by weight, as Helm runs them."""
    weight = re.search(r'helm\.sh/hook-weight: "(-?\d+)"', document)
    return int(weight[1]) if weight else 1000
