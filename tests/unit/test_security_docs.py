"""The lines that docs/security.md gives to paste are the rights that the bundled broker gives."""

import shlex
from pathlib import Path

from stalk.rabbitmq_definitions import APP, SCALER, WORKER, Rights

DOCS = Path(__file__).parents[2] / "docs" / "security.md"


def test_permissions_to_paste() -> None:
    lines = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("rabbitmqctl set_")]
    rights = [words[4:] for words in map(shlex.split, lines) if words[1] == "set_permissions"]
    found = {user: Rights(configure, write, read) for user, configure, write, read in rights}
    tags = {words[-2]: (words[-1],) for words in map(shlex.split, lines) if words[1] == "set_user_tags"}
    assert found == {"shop": APP, "shop-worker": WORKER, "shop-monitor": SCALER._replace(tags=())}
    assert tags == {"shop-monitor": SCALER.tags}
