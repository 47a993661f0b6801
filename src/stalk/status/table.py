"""A snapshot as plain text, and as rows for a live view."""

from collections.abc import Sequence

from stalk.status.snapshot import Pool, Snapshot

__all__ = ["COLUMNS", "row", "text"]

COLUMNS = (
    "POOL",
    "QUEUES",
    "READY",
    "UNACKED",
    "RATE/S",
    "DEAD",
    "REPLICAS",
    "WANTED",
    "MIN",
    "MAX",
    "ACTIVE",
    "LAST SCALE EVENT",
)


def row(pool: Pool) -> tuple[str, ...]:
    """Return a pool's cells."""
    return (
        pool.name,
        ",".join(pool.queues),
        _number(pool.ready),
        _number(pool.unacknowledged),
        "?" if pool.rate is None else f"{pool.rate:.1f}",
        _number(pool.dead_letters),
        str(pool.replicas),
        str(pool.wanted),
        str(pool.minimum),
        str(pool.maximum),
        ",".join(pool.active) or "-",
        pool.last_event or "-",
    )


def text(snapshot: Snapshot) -> str:
    """Return a table that a terminal of any kind, or a file, takes."""
    rows: Sequence[tuple[str, ...]] = [COLUMNS, *map(row, snapshot.pools)]
    widths = [max(len(each[column]) for each in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)).rstrip() for each in rows]
    return "\n".join([*lines, *([f"queue lengths: {snapshot.problem}"] if snapshot.problem else [])])


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)
