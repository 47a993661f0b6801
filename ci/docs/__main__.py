"""`python ci/docs`: bring the output of the commands in docs/*.md up to date, and the picture of a real run."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "tests")]
    from docs import DOCS, generated
    from docs.picture import PICTURE, draw_picture, source

    for file in sorted(DOCS.glob("*.md")):
        text = file.read_text(encoding="utf-8")
        new = generated(text)
        if new != text:
            file.write_text(new, encoding="utf-8")
            print(f"changed {file}")
    if not PICTURE.exists() or source() not in PICTURE.read_text(encoding="utf-8"):
        draw_picture()
        print(f"changed {PICTURE}")
