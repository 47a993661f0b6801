"""From options to a plan: reads the input, simulates the candidates, and tells what came of it."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import time
from zlib import crc32

import numpy as np

from stalk.plan import arrivals, durations, prometheus
from stalk.plan.arrivals import Arrivals
from stalk.plan.candidates import BEHAVIORS, Axes, Objective, Summary, best, candidates, needed, summarize
from stalk.plan.durations import Durations
from stalk.plan.load import estimate
from stalk.plan.pools import Pool, Site, read
from stalk.plan.report import as_json, candidates_table, load_table, overview_table
from stalk.plan.simulation import Outcome, Tasks, simulate
from stalk.plan.units import PlanProblem, rate, seconds, spoken
from stalk.plan.values import lines, mapping

__all__ = ["run"]

SHORT, RUNS = 3600.0, 20
"""What lasts less than an hour depends on where the autoscaler's clocks happen to stand, so it is run several times."""


@dataclass(frozen=True)
class _Work:
    """What comes to one pool."""

    arrivals: Arrivals
    durations: Durations


@dataclass(frozen=True)
class _Result:
    base: Pool
    summaries: list[Summary]
    chosen: Summary | None
    outcome: Outcome
    """A run of the chosen candidate, or of the first."""

    @property
    def shown(self) -> Summary:
        return self.chosen or self.summaries[0]


def run(options: argparse.Namespace) -> str | None:
    """Plan, print, and return what is wrong with the result, or None.

    Raises:
        PlanProblem: something is wrong with the input.
    """
    pools, site = _pools(options)
    known = list(pools)
    if options.pool:
        pools = {options.pool: pools[options.pool]}
    work = _work(options, list(pools), known)
    if options.plot and len(pools) > 1:
        raise PlanProblem("--plot: draws one pool; choose it with --pool")
    objective = _objective(options)
    single = len(pools) == 1
    planner = _Planner(options, site, objective, compare=not options.as_is and (single or objective.stated))
    results = [planner.plan(pool, work[name]) for name, pool in pools.items()]
    load = estimate([(each.shown.pool, each.outcome) for each in results], site, options.keep) if options.load else []
    values = [(each.base, each.chosen.pool) for each in results if each.chosen is not None]
    if options.plot:
        _draw(Path(options.plot), results)
    if options.json:
        told = as_json([(each.summaries, each.chosen) for each in results], mapping(values) if values else None, load)
        print(json.dumps(told, indent=2))
    else:
        _print(results, objective, values, [load_table(load)] if load else [])
    return _unreached(results, objective)


def _pools(options: argparse.Namespace) -> tuple[dict[str, Pool], Site]:
    site = Site()
    if options.values:
        pools, site = read(Path(options.values))
        if options.pool and options.pool not in pools:
            raise PlanProblem(f"--pool {options.pool}: {options.values} has {', '.join(pools)}")
    else:
        name = options.pool or Pool.name
        pools = {name: Pool(name=name)}
    if options.statistics:
        site = replace(site, statistics=seconds(options.statistics, "--statistics"))
        if not site.statistics:
            raise PlanProblem("--statistics: 0 is no interval")
    if options.concurrency and len(options.concurrency) == 1:
        pools = {name: replace(pool, concurrency=options.concurrency[0]) for name, pool in pools.items()}
    if options.idle_first is not None:
        site = replace(site, idle_first=options.idle_first)
    start, stop = seconds(options.pod_start, "--pod-start"), seconds(options.pod_stop, "--pod-stop")
    return pools, replace(site, pods_start=start, pods_stop=stop)


def _work(options: argparse.Namespace, names: Sequence[str], known: Sequence[str]) -> dict[str, _Work]:
    """Return what comes to each pool; an option without `POOL:` is for every pool that none names.

    Args:
        options: of the command.
        names: the pools that are planned.
        known: all pools that an option may name.
    """
    length = seconds(options.length, "--for")
    if not length:
        raise PlanProblem("--for: 0 is no time")
    makers: dict[str, Callable[[str, str], Arrivals]] = {
        "rate": lambda text, what: arrivals.poisson(rate(text, what), length),
        "burst": lambda text, what: arrivals.burst(_whole(text, what)),
        "trace": lambda text, _: arrivals.trace(Path(text)),
        "prometheus": lambda text, _: _prometheus(text, options),
    }
    given: dict[str | None, tuple[str, str, Callable[[str, str], Arrivals]]] = {}
    for option, make in makers.items():
        for text in getattr(options, option) or []:
            pool, rest = _for_pool(text, known)
            if pool in given:
                whose = f"pool {pool}" if pool else "one pool"
                raise PlanProblem(f"--{option} {text}: arrivals of {whose} are given twice; write POOL:… for each pool")
            given[pool] = (rest, f"--{option}", make)
    lengths: dict[str | None, Durations] = {}
    for text in options.duration:
        pool, rest = _for_pool(text, known)
        lengths[pool] = durations.parse(rest, "--duration")
    made: dict[str | None, Arrivals] = {pool: make(text, what) for pool, (text, what, make) in given.items()}
    for name in names:
        if name not in made and None not in made:
            raise PlanProblem(
                f"no arrivals for pool {name}: say --rate 20/s, --burst 60, --trace FILE or --prometheus URL"
            )
        if name not in lengths and None not in lengths:
            raise PlanProblem(f"no duration for pool {name}: say --duration 2s, or --duration p50=2s,p95=8s")
    return {name: _Work(made.get(name) or made[None], lengths.get(name) or lengths[None]) for name in names}


def _for_pool(text: str, known: Sequence[str]) -> tuple[str | None, str]:
    pool, colon, rest = text.partition(":")
    return (pool, rest) if colon and pool in known else (None, text)


def _whole(text: str, what: str) -> int:
    if not text.isdecimal() or not int(text):
        raise PlanProblem(f"{what}: {text!r} is not a number of tasks")
    return int(text)


def _prometheus(text: str, options: argparse.Namespace) -> Arrivals:
    if "://" not in text:
        return prometheus.read(Path(text))
    last, step = seconds(options.last, "--last"), seconds(options.step, "--step")
    if not step or last < step:
        raise PlanProblem(f"--step {options.step}: is not a step within --last {options.last}")
    return prometheus.ask(text, options.query, time(), last, step)


def _objective(options: argparse.Namespace) -> Objective:
    wait = None if options.wait_p95 is None else seconds(options.wait_p95, "--wait-p95")
    if options.cost is not None and options.cost > 0 and options.pod_cost is None:
        raise PlanProblem("--cost: needs the price of a pod for an hour, --pod-cost 0.04")
    limit = options.cost if options.cost else None
    return Objective(wait, limit, cheapest=options.cost == 0)


@dataclass(frozen=True)
class _Planner:
    options: argparse.Namespace
    site: Site
    objective: Objective
    compare: bool
    """Try other settings than the pool's own."""

    def plan(self, pool: Pool, work: _Work) -> _Result:
        """Simulate the candidates of one pool.

        Args:
            pool: as it is given.
            work: what comes to it.
        """
        # A stream of chance of its own: a pool's plan does not change when another one comes beside it.
        stream = crc32(pool.name.encode())
        tasks = self._tasks(work, stream)
        if not self.options.values and not self.options.max:
            pool = replace(pool, most=max(pool.least, needed(tasks[0], pool)))
        compared = candidates(pool, _axes(self.options, None if self.compare else pool))
        summaries = [
            summarize(
                each, [self._simulate(each, tasks, stream, run) for run in range(len(tasks))], self.options.pod_cost
            )
            for each in compared
        ]
        chosen = best(summaries, self.objective) if self.objective.stated else None
        # Once more, for a million tasks of every candidate would not fit into memory.
        outcome = self._simulate((chosen or summaries[0]).pool, tasks, stream, 0)
        return _Result(pool, summaries, chosen, outcome)

    def _simulate(self, pool: Pool, tasks: Sequence[Tasks], stream: int, run: int) -> Outcome:
        # The same chance for each candidate: they differ by what they are, not by luck.
        return simulate(tasks[run], pool, self.site, np.random.default_rng([self.options.seed, 1, stream, run]))

    def _tasks(self, work: _Work, stream: int) -> list[Tasks]:
        found: list[Tasks] = []
        while not found or len(found) < (self.options.runs or (RUNS if found[0].recording.seconds < SHORT else 1)):
            rng = np.random.default_rng([self.options.seed, 0, stream, len(found)])
            recording = work.arrivals(rng)
            found.append(Tasks(recording, work.durations(len(recording.times), rng)))
        return found


def _axes(options: argparse.Namespace, alone: Pool | None) -> Axes:
    """Return what to try; of what no option names the pool's own, where one stands alone."""
    unknown = [name for name in options.behavior or [] if name not in {*BEHAVIORS, "own"}]
    if unknown:
        raise PlanProblem(f"--behavior {unknown[0]}: is none of {', '.join(BEHAVIORS)}, own")
    return Axes(
        tasks_per_slot=options.tasks_per_slot or ((alone.tasks_per_slot,) if alone else ()),
        least=options.min or ((alone.least,) if alone else ()),
        most=options.max or (),
        polling=options.polling or ((int(alone.polling),) if alone else ()),
        cooldown=options.cooldown or (),
        concurrency=options.concurrency or (),
        behavior=options.behavior or (("own",) if alone else ()),
    )


def _print(
    results: Sequence[_Result], objective: Objective, values: Sequence[tuple[Pool, Pool]], more: Sequence[str]
) -> None:
    if len(results) == 1:
        (only,) = results
        print(f"{_described(only)}\n")
        print(candidates_table(only.summaries, only.chosen))
        if not objective.stated and len(only.summaries) > 1:
            print("\nSay what is best, and its values follow: --wait-p95 5s, or --cost")
    else:
        print(overview_table([each.shown for each in results]))
    for note in _notes(results):
        print(f"\nnote: {note}")
    if values:
        print(f"\n# values.yaml\n{lines(values).rstrip()}")
    for table in more:
        print(f"\n{table}")


def _described(result: _Result) -> str:
    first, outcome = result.summaries[0], result.outcome
    lasted = np.percentile(outcome.ended - outcome.started, [50, 95]).tolist()
    runs = round(first.tasks / len(outcome.arrived))
    times = f", {runs} times" if runs > 1 else ""
    return (
        f"pool {result.base.name}: {len(outcome.arrived):,} tasks in {spoken(float(outcome.arrived[-1]))}{times}; "
        f"half of them run {spoken(lasted[0])}, 5 % run longer than {spoken(lasted[1])}"
    )


def _notes(results: Sequence[_Result]) -> list[str]:
    found = [note for each in results for note in each.base.notes]
    spread = [each.base.name for each in results if len(each.base.queues) > 1]
    if spread:
        found.append(f"{_those(spread)}: tasks are taken to be spread evenly over the pool's queues")
    longest = {each.base.name: float((each.outcome.ended - each.outcome.started).max()) for each in results}
    over = [each.base for each in results if longest[each.base.name] > each.base.longest_task]
    if over:
        found.append(
            f"{_those([each.name for each in over])}: the longest task runs {spoken(max(longest.values()))}, more than "
            f"longestTaskSeconds, {over[0].longest_task:g}: a scale-in would kill it, and it would run again"
        )
    return found


def _those(names: Sequence[str]) -> str:
    return f"pool {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _draw(path: Path, results: Sequence[_Result]) -> None:
    from stalk.plan.plot import draw

    (only,) = results
    draw(path, only.base.name, only.summaries, only.shown, only.outcome)


def _unreached(results: Sequence[_Result], objective: Objective) -> str | None:
    missed = [each for each in results if each.chosen is None]
    if not objective.stated or not missed:
        return None
    goals: list[str] = []
    if objective.wait_p95 is not None:
        goals.append(f"waits at most {spoken(objective.wait_p95)} at p95")
    if objective.cost is not None:
        goals.append(f"costs at most {objective.cost:g}")
    nearest = min(missed[0].summaries, key=lambda each: each.wait_p95)
    price = "" if nearest.cost is None else f" at {nearest.cost:.2f}"
    return (
        f"pool {missed[0].base.name}: no candidate {' and '.join(goals)}; the shortest wait is "
        f"{spoken(nearest.wait_p95)}{price}. Try more: --max, --min, --polling, --concurrency"
    )
