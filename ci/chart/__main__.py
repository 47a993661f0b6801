"""`python ci/chart generate`: write schema, reference and plain manifests; `check`: tell what is stale."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)

from chart.check import problems  # noqa: E402
from chart.manifests import MANIFESTS, manifest  # noqa: E402
from chart.paths import KEDA, README, SCHEMA  # noqa: E402
from chart.reference import with_reference  # noqa: E402
from chart.schema import schema_text  # noqa: E402

__all__ = ["main"]


def main(words: list[str]) -> str | None:
    """Run one of the two; return what is wrong."""
    if words == ["generate"]:
        SCHEMA.write_text(schema_text())
        README.write_text(with_reference(README.read_text()))
        for name in MANIFESTS:
            (KEDA / name).write_text(manifest(name))
        return None
    if words == ["check"]:
        return "\n".join(problems()) or None
    return "usage: python ci/chart {generate|check}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
