"""How tests are dealt out to processes (`-n 2 --dist loadgroup`)."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHAOS = HERE / "e2e" / "chaos"
SERVERS = (HERE / "integration", HERE / "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares servers: a module with its own, and the chaos suite with its release and report."""
    for item in items:
        if item.path.is_relative_to(CHAOS):
            item.add_marker(pytest.mark.xdist_group("chaos"))
        elif any(item.path.is_relative_to(folder) for folder in SERVERS):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
