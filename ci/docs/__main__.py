"""`python ci/docs`: bring the output of the commands in docs/*.md up to date."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from docs import DOCS, generated

    for file in sorted(DOCS.glob("*.md")):
        text = file.read_text(encoding="utf-8")
        new = generated(text)
        if new != text:
            file.write_text(new, encoding="utf-8")
            print(f"changed {file}")
