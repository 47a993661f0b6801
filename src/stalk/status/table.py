"""A snapshot as plain text, and as rows for a live view."""

from collections.abc import Sequence

from stalk.status.snapshot import Pool, Snapshot

__all__ = ["COLUMNS", "problems", "row", "text"]

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
        _number(pool.minimum),
        _number(pool.maximum),
        "?" if pool.active is None else ",".join(pool.active) or "-",
        "?" if pool.last_event is None else pool.last_event or "-",
    )


def text(snapshot: Snapshot) -> str:
    """Return a table that a terminal of any kind, or a file, takes."""
    rows: Sequence[tuple[str, ...]] = [COLUMNS, *map(row, snapshot.pools)]
    widths = [max(len(each[column]) for each in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)).rstrip() for each in rows]
    return "\n".join([*lines, *problems(snapshot)])


def problems(snapshot: Snapshot) -> list[str]:
    """Return a line for each thing that could not be read."""
    of_queues = [f"queue lengths: {snapshot.problem}"] if snapshot.problem else []
    return of_queues + [f"{what}: {why}" for what, why in snapshot.unread.items()]


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)
