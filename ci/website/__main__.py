"""`python ci/website`: build the documentation's site into dist/site; a link that leads nowhere fails."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)

from website.build import SITE, build  # noqa: E402

if __name__ == "__main__":
    problem = build()
    if problem is None:
        print(f"{SITE}/index.html")
    sys.exit(problem)
