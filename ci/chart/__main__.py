"""`python ci/chart generate`: write schema, reference and plain manifests; `check`: tell what is stale."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)

from chart.check import generated, problems  # noqa: E402

__all__ = ["main"]


def main(words: list[str]) -> str | None:
    """Run one of the two; return what is wrong."""
    if words == ["generate"]:
        for path, text in generated():
            path.write_text(text)
        return None
    if words == ["check"]:
        return "\n".join(problems()) or None
    return "usage: python ci/chart {generate|check}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
