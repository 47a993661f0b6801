"""The table of values in the chart's README, from the models."""

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo

from chart.models import Values
from chart.models.base import Model
from chart.models.pods import AppPod
from chart.models.workers import Pool

__all__ = ["BEGIN", "END", "model_in", "page", "reference", "with_reference"]

BEGIN = "<!-- values: written by `python ci/chart generate` -->"
END = "<!-- values end -->"
INHERITED = set(AppPod.model_fields)
"""Keys that any component can set: told once, under the component only when it has a default of its own."""


def reference() -> str:
    """Return the tables, one a block of values.yaml."""
    parts = []
    loose: list[str] = []
    for name, field in Values.model_fields.items():
        key = field.alias or name
        model = model_in(field)
        if model is None:
            loose.append(_row(key, field, field.default))
        elif key != "workers":
            parts.append(f"### {key}\n\n{field.description}\n\n" + _table(list(_rows(key, model, field.default))))
    pools = "\n".join(
        [
            "### workers",
            "",
            "Pools by name. Each takes every key of [workerDefaults](#workerdefaults) and of "
            "[a component's pods](#keys-of-a-components-pods); null, or `enabled: false`, switches one off.",
        ]
    )
    common = "### Keys of a component's pods\n\n" + "\n".join(
        [
            "`api`, `workerDefaults`, `workers.<name>`, `steward`, `beat`, `flower`, `rabbitmq`, `redis` and "
            "`topology` take these over [podDefaults](#poddefaults). `steward` and `topology` have no `pdb` and no "
            "`sidecars`; `steward` runs the image of `toolkit`; the `image` of the bundled servers is under their own "
            "keys.",
            "",
            _table(list(_rows("", AppPod, AppPod(), everything=True))),
        ]
    )
    return "\n\n".join(["### Top level\n\n" + _table(loose), common, *parts, pools])


def with_reference(readme: str) -> str:
    """Return a README with the tables between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


def page() -> str:
    """Return docs/values.md: the same tables as a page of their own."""
    head = """<!-- Written by `python ci/chart generate` from ci/chart/models. -->
# Values

Every key of the chart's `values.yaml`, its default, and what it is. How pools inherit, and what `null` does:
[How values merge](../charts/stalk/README.md#how-values-merge).

"""
    return head + reference().replace("### ", "## ") + "\n"


def _rows(path: str, model: type[Model], default: Model, *, everything: bool = False) -> Iterator[str]:
    for name, field in model.model_fields.items():
        value = getattr(default, name, None)
        if value is None and not everything and name in INHERITED and name not in model.__annotations__:
            continue
        key = field.alias or name
        full = f"{path}.{key}" if path else key
        inner = model_in(field)
        if inner is None:
            yield _row(full, field, value)
        else:
            yield from _rows(full, inner, value if value is not None else inner.model_construct(), everything=True)


def model_in(field: FieldInfo) -> type[Model] | None:
    """Return the model that a field holds, alone or beside null; the map of pools counts as one."""
    options = [field.annotation, *get_args(field.annotation)]
    if field.alias == "workers":
        return Pool
    return next((item for item in options if isinstance(item, type) and issubclass(item, Model)), None)


def _row(key: str, field: FieldInfo, default: Any) -> str:
    if isinstance(default, Model):
        default = default.model_dump(by_alias=True, exclude_none=True)
    shown = "" if default is None else f"`{json.dumps(default, ensure_ascii=False)}`"
    description = (field.description or "").replace("|", "\\|")
    return f"| `{key}` | {shown.replace('|', chr(92) + '|')} | {description} |"


def _table(rows: list[str]) -> str:
    return "\n".join(["| Key | Default | What it is |", "|---|---|---|", *rows])
