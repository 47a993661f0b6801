"""Dead letters for people."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from stalk.dead_letters.letter import DeadLetter
from stalk.dead_letters.summary import Summary

__all__ = ["age", "letter_text", "summaries_text"]

NO_TASK = "(no task)"


def summaries_text(summaries: Sequence[Summary], now: datetime | None = None) -> str:
    """Return a table, one line for each task name and reason of a queue."""
    now = now or datetime.now(UTC)
    rows = [("QUEUE", "DEAD", "OLDEST", "TASK", "REASON", "")]
    for summary in summaries:
        rows.extend(_rows(summary, now))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _rows(summary: Summary, now: datetime) -> list[tuple[str, str, str, str, str, str]]:
    oldest = age(now - summary.oldest) if summary.oldest else "-"
    part = f"of the first {summary.sampled}" if 0 < summary.sampled < summary.count else ""
    first = (summary.queue, str(summary.count), oldest)
    if not summary.tasks:
        return [(*first, "-", "-", summary.note or "")]
    return [
        (*(first if index == 0 else ("", "", "")), f"{number} {task or NO_TASK}", reason or "-", part)
        for index, ((task, reason), number) in enumerate(summary.tasks.most_common())
    ]


def letter_text(letter: DeadLetter, state: str | None) -> str:
    """Return one dead letter, a line for each thing that is known of it."""
    came = f"{letter.exchange or '(default)'} with {letter.routing_key}" if letter.routing_key else None
    lines = [
        ("task", letter.task),
        ("args" if letter.id else "body", letter.args),
        ("reason", letter.reason),
        ("died", f"{letter.died:%Y-%m-%d %H:%M:%S} UTC" if letter.died else None),
        ("times here", letter.deaths),
        ("from queue", letter.queue),
        ("published to", came),
        ("retries", letter.retries),
        ("sent by", letter.origin),
        ("state", state),
        ("deliveries", letter.deliveries),
    ]
    return "\n".join([letter.id or NO_TASK, *(f"  {name:<13}{value}" for name, value in lines if value is not None)])


def age(past: timedelta) -> str:
    """Return a time span as its largest unit: 45s, 12m, 5h, 3d."""
    seconds = max(0, int(past.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
