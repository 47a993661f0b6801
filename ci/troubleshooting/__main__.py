"""`python ci/troubleshooting generate`: write docs/troubleshooting.md; `check`: tell whether it is stale."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)

from troubleshooting.page import PAGE, page  # noqa: E402

__all__ = ["main"]


def main(words: list[str]) -> str | None:
    """Run one of the two; return what is wrong."""
    if words == ["generate"]:
        PAGE.write_text(page(), encoding="utf-8")
        return None
    if words == ["check"]:
        fresh = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        return None if fresh else f"docs/{PAGE.name} is stale; run: python ci/troubleshooting generate"
    return "usage: python ci/troubleshooting {generate|check}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
