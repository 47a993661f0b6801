"""The lines of values.yaml that give a pool a candidate's settings."""

from collections.abc import Iterable
from typing import Any

import yaml

from stalk.plan.pools import Pool

__all__ = ["lines", "mapping"]


def mapping(chosen: Iterable[tuple[Pool, Pool]]) -> dict[str, Any]:
    """Return the values as the chart takes them, from (what the pool was, what it shall be)."""
    return {"workers": {pool.name: _of(pool, clear=bool(was.behavior)) for was, pool in chosen}}


def _of(pool: Pool, clear: bool) -> dict[str, Any]:
    scaling: dict[str, Any]
    if pool.mode == "none":
        scaling = {"mode": "none", "replicas": pool.replicas}
    else:
        scaling = {
            "min": pool.least,
            "max": pool.most,
            "tasksPerSlot": pool.tasks_per_slot,
            "pollingInterval": int(pool.polling),
        }
        if pool.cooldown is not None:
            scaling["cooldownPeriod"] = int(pool.cooldown)
        if pool.behavior or clear:
            scaling["behavior"] = dict(pool.behavior) or None  # null removes what the file had
    return {"concurrency": pool.concurrency, "autoscaling": scaling}


def lines(chosen: Iterable[tuple[Pool, Pool]]) -> str:
    """Return `mapping` as YAML, small maps in one line, ending in a newline."""
    return yaml.safe_dump(mapping(chosen), sort_keys=False, default_flow_style=None, width=110)
