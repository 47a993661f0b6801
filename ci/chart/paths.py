"""Where things are in the repository."""

from pathlib import Path

__all__ = ["CHART", "DASHBOARD", "KEDA", "README", "ROOT", "SCHEMA", "VALUES", "VALUES_PAGE"]

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "charts" / "stalk"
VALUES = CHART / "values.yaml"
SCHEMA = CHART / "values.schema.json"
DASHBOARD = CHART / "dashboards" / "stalk.json"
README = CHART / "README.md"
VALUES_PAGE = ROOT / "docs" / "values.md"
KEDA = ROOT / "keda"
