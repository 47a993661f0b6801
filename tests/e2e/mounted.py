"""Values that run one of the apps beside this file in place of the demo service: the image is the chart's own."""

from pathlib import Path
from typing import Any

__all__ = ["mounted"]

APPS = Path(__file__).parent / "apps"


def mounted(name: str) -> dict[str, Any]:
    """Return values with the app in a ConfigMap, which workers and the topology Job mount."""
    code = (APPS / f"{name}.py").read_text(encoding="utf-8")
    volumes = {
        "extraVolumes": [{"name": "app", "configMap": {"name": name}}],
        "extraVolumeMounts": [{"name": "app", "mountPath": "/app"}],
    }
    return {
        "celery": {"app": f"{name}:app"},
        "api": {"enabled": False},
        "flower": {"enabled": False},
        "topology": volumes,
        "extraEnv": {"PYTHONPATH": "/app"},
        "workerDefaults": volumes,
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {f"{name}.py": code}}
        ],
    }
