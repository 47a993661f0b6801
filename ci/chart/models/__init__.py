"""The chart's values as pydantic models: the source of values.schema.json and of the table in the chart's README."""

from chart.models.values import Values

__all__ = ["Values"]
