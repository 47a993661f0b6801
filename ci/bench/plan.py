"""How long `stalk plan` simulates a day of a million tasks, and how much memory that takes.

`--tasks N` takes another number.
"""

import argparse
import resource
import time

import numpy as np

from stalk.plan.arrivals import Arrivals, counted
from stalk.plan.durations import lognormal
from stalk.plan.pools import Pool, Site
from stalk.plan.simulation import Tasks, simulate

DAY = 86400.0
POOLS = {
    "follows the queue": Pool(concurrency=4, most=60),
    "one pod stays, two tasks a slot": Pool(concurrency=4, most=60, least=1, tasks_per_slot=2),
    "looks each second": Pool(concurrency=4, most=60, polling=1),
    "40 pods, fixed": Pool(concurrency=4, mode="none", replicas=40),
}


def day(tasks: int) -> Arrivals:
    """Return a day with a night: four times as much at noon as at midnight."""
    minutes = np.arange(0.0, DAY, 60.0)
    shape = 1 - 0.6 * np.cos(2 * np.pi * minutes / DAY)
    return counted(minutes, tasks * shape / shape.sum(), 60.0)


def memory() -> float:
    """Return the most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(prog="plan")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    number = parser.parse_args().tasks
    rng = np.random.default_rng(0)
    before = memory()
    started = time.perf_counter()
    recording = day(number)(rng)
    tasks = Tasks(recording, lognormal(2.0, 8.0)(len(recording.times), rng))
    print(f"a day of {len(recording.times):,} tasks, drawn in {time.perf_counter() - started:.2f} s")
    print(f"\n{'':34}{'seconds':>9}{'µs a task':>11}{'pods most':>11}{'pod-hours':>11}{'wait p95':>10}")
    for name, pool in POOLS.items():
        started = time.perf_counter()
        outcome = simulate(tasks, pool, Site(), np.random.default_rng(0))
        took = time.perf_counter() - started
        most, wait = int(outcome.pods(outcome.created).max()), float(np.percentile(outcome.waits, 95))
        print(
            f"{name:34}{took:9.2f}{took / len(recording.times) * 1e6:11.2f}{most:11}"
            f"{outcome.pod_seconds() / 3600:11.0f}{wait:10.2f}"
        )
    print(f"\nmemory at most {memory():.0f} MiB, {before:.0f} MiB before the first task")


if __name__ == "__main__":
    main()
