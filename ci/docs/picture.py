"""docs/assets/scaling.svg: a burst that `ci/bench scaling` has measured, drawn as it draws it."""

import hashlib
import json

import matplotlib

from bench._burst import Burst
from bench._plot import draw
from docs import DOCS

__all__ = ["DATA", "PICTURE", "draw_picture", "source"]

DATA = DOCS.parent / "tests" / "unit" / "data" / "scaling.json"
PICTURE = DOCS / "assets" / "scaling.svg"


def source() -> str:
    """Return what the picture says of where it comes from: the file, and which."""
    return f"{DATA.relative_to(DOCS.parent)} {hashlib.sha256(DATA.read_bytes()).hexdigest()}"


def draw_picture() -> None:
    """Draw it; the same data give the same file."""
    burst = Burst.from_json(json.loads(DATA.read_text(encoding="utf-8"))["burst"])
    with matplotlib.rc_context({"svg.hashsalt": "stalk"}):
        draw([burst], PICTURE, {"Date": None, "Source": source()})
