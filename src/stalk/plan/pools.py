"""Pools of workers as the chart's values describe them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from stalk.plan.hpa import behavior
from stalk.plan.units import PlanProblem

__all__ = ["Pool", "Site", "named", "read"]

Mode = Literal["keda", "none"]
EXTERNAL_STATISTICS = 5.0
"""RabbitMQ's own `collect_statistics_interval` and `quorum_tick_interval`, where the chart does not set them."""


@dataclass(frozen=True)
class Pool:
    """What decides how a pool is scaled. The defaults are those of the chart's values.yaml (tests compare them)."""

    name: str = "default"
    queues: tuple[str, ...] = ("test-queue",)
    concurrency: int = 1
    longest_task: float = 600
    """Seconds; grace period and cooldown follow, as in the chart."""
    grace: float | None = None
    interruptible: bool = False
    soft_shutdown: float = 15
    """Seconds that an interruptible pool's running tasks may still take."""
    mode: Mode = "keda"
    least: int = 0
    most: int = 10
    replicas: int = 1
    """With mode none."""
    tasks_per_slot: int = 1
    polling: float = 5
    cooldown: float | None = None
    behavior: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What is set and not simulated."""

    @property
    def target(self) -> int:
        """Messages for each pod: the trigger's value."""
        return self.concurrency * self.tasks_per_slot

    @property
    def grace_seconds(self) -> float:
        """From SIGTERM to SIGKILL."""
        if self.grace is not None:
            return self.grace
        return self.soft_shutdown + 10 if self.interruptible else self.longest_task + 30

    @property
    def cooldown_seconds(self) -> float:
        """Without work until zero."""
        return max(self.grace_seconds + 30, self.longest_task + 60) if self.cooldown is None else self.cooldown


@dataclass(frozen=True)
class Site:
    """What is the same for all pools."""

    pods_start: float = 2.0
    """Seconds from a replica that is asked for to a worker that takes tasks."""
    pods_stop: float = 1.5
    """Seconds from the last task of a pod that ends until it is gone."""
    statistics: float = 1.0
    """Seconds between two counts of the queue lengths; what is read is up to twice as old."""
    idle_first: bool = True
    """A scale-in takes pods without a task first, which the chart's steward sees to; else any."""


def named(name: str, mapping: Mapping[str, Any], where: str) -> Pool:
    """Return the pool that a merged map of `workerDefaults` and the pool's own keys describes.

    Raises:
        PlanProblem: a value cannot be, or the pool's replicas follow from something else than its queues.
    """
    scaling = _map(mapping.get("autoscaling"), f"{where}.autoscaling")
    at = f"{where}.autoscaling"
    base = Pool()
    mode = scaling.get("mode") or "auto"
    if mode == "hpa":
        raise PlanProblem(f"{at}.mode: hpa follows CPU, which arrivals do not tell; plan simulates keda and none")
    if mode not in {"auto", "keda", "none"}:
        raise PlanProblem(f"{at}.mode: {mode!r} is not keda, none or auto")
    queues = mapping.get("queues") or []
    if not isinstance(queues, list) or not queues:
        raise PlanProblem(f"{where}.queues: names no queue")
    interruptible = mapping.get("interruptible") or False
    if not isinstance(interruptible, bool):
        raise PlanProblem(f"{where}.interruptible: {interruptible!r} is not true or false")
    pool = Pool(
        name=name,
        queues=tuple(map(str, queues)),
        concurrency=_whole(mapping, "concurrency", where, base.concurrency, least=1),
        longest_task=_whole(mapping, "longestTaskSeconds", where, int(base.longest_task), least=1),
        grace=_whole(mapping, "terminationGracePeriodSeconds", where, None, least=1),
        interruptible=interruptible,
        soft_shutdown=_whole(mapping, "softShutdownSeconds", where, int(base.soft_shutdown), least=1),
        mode="none" if mode == "none" else "keda",
        least=_whole(scaling, "min", at, base.least),
        most=_whole(scaling, "max", at, base.most, least=1),
        replicas=_whole(scaling, "replicas", at, base.replicas),
        tasks_per_slot=_whole(scaling, "tasksPerSlot", at, base.tasks_per_slot, least=1),
        polling=_whole(scaling, "pollingInterval", at, int(base.polling), least=1),
        cooldown=_whole(scaling, "cooldownPeriod", at, None),
        behavior=_map(scaling.get("behavior"), f"{at}.behavior"),
        notes=tuple(_not_simulated(interruptible, scaling, where)),
    )
    behavior(pool.behavior, f"{at}.behavior")
    if pool.least > pool.most:
        raise PlanProblem(f"{at}.min: {pool.least} is more than max, {pool.most}")
    return pool


def _not_simulated(interruptible: bool, scaling: Mapping[str, Any], where: str) -> Iterator[str]:
    if interruptible:
        yield f"{where}.interruptible is set: tasks that a pod gives back as it goes are not simulated"
    for key in ("cpuTrigger", "extraTriggers", "paused", "initialCooldownPeriod"):
        if scaling.get(key):
            yield f"{where}.autoscaling.{key} is set and not simulated"


def read(path: Path) -> tuple[dict[str, Pool], Site]:
    """Return the pools of a values file by name, and what it says of what is around them.

    Raises:
        PlanProblem: it is no such file.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PlanProblem(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise PlanProblem(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    values = _map(values, str(path))
    defaults = _map(values.get("workerDefaults"), f"{path}: workerDefaults")
    workers = _map(values.get("workers"), f"{path}: workers")
    if not workers:
        workers = {"default": {"queues": list(Pool().queues)}}
    pools = {}
    for name, own in workers.items():
        where = f"{path}: workers.{name}"
        whole = _merged(defaults, _map(own, where))
        if own is not None and whole.get("enabled", True):
            pools[str(name)] = named(str(name), whole, where)
    if not pools:
        raise PlanProblem(f"{path}: workers: no pool is enabled")
    steward = _map(values.get("steward"), f"{path}: steward").get("enabled", True)
    return pools, Site(statistics=_statistics(values, path), idle_first=bool(steward))


def _statistics(values: Mapping[str, Any], path: Path) -> float:
    broker = _map(values.get("rabbitmq"), f"{path}: rabbitmq")
    if not broker.get("enabled", True):
        return EXTERNAL_STATISTICS
    return float(_whole(broker, "statisticsSeconds", f"{path}: rabbitmq", int(Site.statistics), least=1))


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as the chart does: maps key by key, the rest is replaced."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out


def _map(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PlanProblem(f"{where}: is not a map")
    return value


def _whole(mapping: Mapping[str, Any], key: str, where: str, default: Any, least: int = 0) -> Any:
    value = mapping.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < least:
        raise PlanProblem(f"{where}.{key}: {value!r} is not a whole number of at least {least}")
    return int(value)
