"""Where things are in the repository."""

from pathlib import Path

__all__ = ["CHART", "DASHBOARD", "KEDA", "README", "ROOT", "SCHEMA", "VALUES"]

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "charts" / "stalk"
VALUES = CHART / "values.yaml"
SCHEMA = CHART / "values.schema.json"
DASHBOARD = CHART / "dashboards" / "stalk.json"
README = CHART / "README.md"
KEDA = ROOT / "keda"
