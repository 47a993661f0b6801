"""`python ci/scan`: scan what the values files of charts/stalk/ci render, and the Dockerfile; name the unexplained."""

import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)

from chart.paths import CHART, ROOT  # noqa: E402
from chart.render import render  # noqa: E402
from scan.explained import EXPLAINED  # noqa: E402
from scan.findings import CHECKOV, judged, scan  # noqa: E402

__all__ = ["main"]


def main() -> str | None:
    """Scan; return what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        values = sorted((CHART / "ci").glob("*.yaml"))
        for file in values:
            (Path(folder) / file.name).write_text(render(file, tests=True))
        try:
            findings = scan(Path(folder), ROOT / "images")
        except RuntimeError as error:
            return str(error)
    problems = judged(findings, EXPLAINED)
    if problems:
        return "\n".join([*problems, "mend it, or explain it in ci/scan/explained.py"])
    print(f"{CHECKOV}: {len(values)} renderings and the Dockerfile, {len(set(findings))} findings, all explained:")
    for (check, component), reason in EXPLAINED.items():
        print(f"  {check} {component}: {reason}")
    return None


if __name__ == "__main__":
    sys.exit(main())
