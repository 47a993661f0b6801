"""`python ci/screenshots [--out FOLDER] [--without-grafana]`: take the pictures that Chart.yaml promises.

GRAFANA_URL names a running Grafana where an anonymous visitor, or the login in the URL, may write data sources and
dashboards. None of Grafana's packages is installed by this: without the variable its picture is not taken, and the
exit code says so.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "tests")]

from release.artifacthub import SCREENSHOTS  # noqa: E402
from screenshots.take import GRAFANA, take  # noqa: E402

__all__ = ["main"]

GRAFANA_LINE = (
    "    docker run --detach --network host --env GF_AUTH_ANONYMOUS_ENABLED=true \\\n"
    "      --env GF_AUTH_ANONYMOUS_ORG_ROLE=Admin grafana/grafana:13.0.1\n"
    "    make screenshots GRAFANA_URL=http://127.0.0.1:3000\n"
)


def main(words: list[str]) -> str | None:
    """Take them; return what is wrong."""
    parser = argparse.ArgumentParser(prog="python ci/screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "dist" / "screenshots")
    parser.add_argument("--without-grafana", action="store_true", help="leave its picture out, and be content")
    arguments = parser.parse_args(words)
    grafana = "" if arguments.without_grafana else os.environ.get("GRAFANA_URL", "")
    taken = take(arguments.out, grafana)
    for path in taken:
        print(path)
    missing = sorted(set(SCREENSHOTS) - {path.name for path in taken})
    if not missing:
        return None
    said = f"NOT TAKEN: {', '.join(missing)}: GRAFANA_URL names no Grafana. For example:\n{GRAFANA_LINE}"
    if missing == [GRAFANA] and arguments.without_grafana:
        print(said, file=sys.stderr)
        return None
    return said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
