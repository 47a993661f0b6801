"""A plan as text, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stalk.plan.candidates import Summary, behavior_name
from stalk.plan.load import Line
from stalk.plan.pools import Pool
from stalk.plan.units import spoken

__all__ = ["as_json", "candidates_table", "load_table", "overview_table"]


MANY, LONGEST = 20, 5
"""With more pools than this, only so many are listed: those that wait longest."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        parts = (
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(parts).rstrip()

    return "\n".join([line(head), *map(line, rows)])


_SETTINGS = ["slots", "per slot", "min", "max", "polling", "cooldown", "behavior"]


def _settings(pool: Pool) -> list[str]:
    if pool.mode == "none":
        return [str(pool.concurrency), "", str(pool.replicas), str(pool.replicas), "", "", "fixed"]
    looks = [f"{pool.polling:g} s", f"{pool.cooldown_seconds:g} s"] if not pool.least else ["", ""]
    return [
        str(pool.concurrency),
        str(pool.tasks_per_slot),
        str(pool.least),
        str(pool.most),
        *looks,
        behavior_name(pool),
    ]


_FIGURES = ["wait p50", "p95", "p99", "drain", "pods", "most", "pod-hours", "busy"]


def _figures(each: Summary) -> list[str]:
    times = (each.wait_p50, each.wait_p95, each.wait_p99, each.drain)
    return [
        *map(spoken, times),
        f"{each.pods_mean:.1f}",
        str(each.pods_most),
        _figure(each.pod_hours),
        f"{each.busy:.0%}",
    ]


def candidates_table(summaries: Sequence[Summary], chosen: Summary | None) -> str:
    """Return one line for each candidate of a pool; `>` marks the chosen one, the first is the pool as it was given."""
    priced = summaries[0].cost is not None
    head = ["", *_SETTINGS, *_FIGURES, *(["cost"] if priced else [])]
    rows = [
        [
            ">" if each is chosen else "",
            *_settings(each.pool),
            *_figures(each),
            *([f"{each.cost:.2f}"] if each.cost is not None else []),
        ]
        for each in summaries
    ]
    return _table(head, rows)


def overview_table(chosen: Sequence[Summary]) -> str:
    """Return one line for each pool, of many for those that wait longest, and one for all together."""
    priced = chosen[0].cost is not None
    shown = chosen if len(chosen) <= MANY else sorted(chosen, key=lambda each: -each.wait_p95)[:LONGEST]
    rows = [
        [
            each.pool.name,
            *_settings(each.pool),
            *_figures(each),
            *([f"{each.cost:.2f}"] if each.cost is not None else []),
        ]
        for each in shown
    ]
    hours = sum(each.pod_hours for each in chosen)
    total = [f"all {len(chosen)} pools"] + [""] * (len(_SETTINGS) + len(_FIGURES) - 4)
    total += [f"{sum(each.pods_mean for each in chosen):.1f}", "", _figure(hours), ""]
    if priced:
        total.append(f"{sum(each.cost or 0.0 for each in chosen):.2f}")
    return _table(["pool", *_SETTINGS, *_FIGURES, *(["cost"] if priced else [])], [*rows, total], left=(0,))


def load_table(lines: Sequence[Line]) -> str:
    """Return the load of all pools together."""
    rows = [[each.part, each.what, f"{_figure(each.value)}{each.unit}", each.formula, each.limit] for each in lines]
    return _table(["", "", "busiest minute", "from", ""], rows, left=(0, 1, 3, 4))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def as_json(
    pools: Sequence[tuple[Sequence[Summary], Summary | None]], values: dict[str, Any] | None, load: Sequence[Line]
) -> dict[str, Any]:
    """Return everything: of each pool its candidates and the best one, the values, the load."""
    return {
        "pools": {
            summaries[0].pool.name: {
                "candidates": [_summary(each) for each in summaries],
                "best": None if chosen is None else summaries.index(chosen),
            }
            for summaries, chosen in pools
        },
        "values": values,
        "load": [asdict(each) for each in load],
    }


def _summary(each: Summary) -> dict[str, Any]:
    pool = each.pool
    return asdict(each) | {
        "pool": {
            "concurrency": pool.concurrency,
            "mode": pool.mode,
            "replicas": pool.replicas if pool.mode == "none" else None,
            "tasksPerSlot": pool.tasks_per_slot,
            "min": pool.least,
            "max": pool.most,
            "pollingInterval": pool.polling,
            "cooldownPeriod": pool.cooldown_seconds,
            "behavior": dict(pool.behavior),
        }
    }
