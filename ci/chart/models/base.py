"""What every model of the values shares."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = [
    "Annotations",
    "EnvName",
    "Key",
    "Labels",
    "Manifest",
    "MetricLabels",
    "Model",
    "Name",
    "NodePort",
    "OptionalName",
    "Port",
    "Positive",
    "Quantity",
    "Share",
    "Whole",
]

Manifest = dict[str, Any]
"""A piece of Kubernetes YAML that the chart passes on."""
Labels = dict[str, str | None]
Annotations = dict[str, str | None]
MetricLabels = dict[Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")], str | None]
"""Labels of Prometheus, whose names are stricter."""
Port = Annotated[int, Field(ge=1, le=65535)]
NodePort = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[int, Field(ge=1, le=2_000_000_000)]
Whole = Annotated[int, Field(ge=0, le=2_000_000_000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
OptionalName = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253)]
Key = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+([.][0-9]+)?([numkMGTPE]|[KMGTPE]i)?$")]
Share = Annotated[str, Field(pattern=r"^[0-9]+%$")]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]


class Model(BaseModel):
    """Written in camelCase in values.yaml; an unknown key is a typing mistake."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, validate_default=True)
