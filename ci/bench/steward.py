"""Who goes when a pool shrinks: pods with a running task that are told to stop, with the steward and without it.

Ten workers of one slot are given ten tasks in random order: six short ones and four long ones. When the short ones have
ended, and a pause of `PAUSE` seconds after that, the pool is scaled from ten pods to four, which is what the four tasks
need. Each long task whose pod is told to stop would be interrupted, or its pod waited for. The pool's number of pods is
fixed (mode `none`), and is changed through the Deployment's scale subresource, as the HorizontalPodAutoscaler does:
its own stabilization window, 300 s by default, would only make each round longer, and the steward's work easier.

Needs a cluster that KUBECONFIG names, with the chart's images (STALK_E2E_VALUES says where they are). It works in a
namespace of its own, which goes at the end. `--rounds N` plays N rounds each way, with long tasks of `--seconds S`.
"""

import argparse
import random
import time
from dataclasses import dataclass

from bench._cluster import new_release, on_a_cluster
from e2e.harness import Release, until
from e2e.holding import HOLDER, Holder

WORKERS, BUSY = 10, 4
SHORT = 5
"""Seconds of a short task: long enough for its worker to be marked busy, too."""
PAUSE = 15
"""Seconds from the last short task's end to the shrinking: two heartbeats and a turn more than the steward's own 10."""
LIMIT = 40 * 60
"""Seconds that the whole may take."""


@dataclass
class Way:
    """What one way of shrinking did."""

    name: str
    told: list[int]
    """Busy pods told to stop, by round."""
    lost: int
    """Long tasks that did not return what they should."""
    writes: int
    """Annotations written."""

    @property
    def share(self) -> float:
        """Of the pods with a running task."""
        return sum(self.told) / (BUSY * len(self.told))


def one_round(holder: Holder, seconds: int) -> tuple[int, int]:
    """Return how many busy pods were told to stop, and how many of their tasks were lost."""
    everybody = holder.scale_and_wait(WORKERS)
    lengths = [seconds] * BUSY + [SHORT] * (WORKERS - BUSY)
    random.shuffle(lengths)
    tasks = holder.hold(*lengths)
    long = [task for task, length in zip(tasks, lengths, strict=True) if length == seconds]
    busy = holder.pods_of(long)
    until(lambda: all(task.ready() for task in tasks if task not in long))
    time.sleep(PAUSE)
    if any(task.ready() for task in long):
        raise RuntimeError(f"--seconds {seconds}: a long task ended before the pool shrank")
    holder.scale(BUSY)
    until(lambda: len(holder.staying()) == BUSY)
    told = len(busy - holder.staying())
    # The next ten come up while these end.
    holder.scale(WORKERS)
    lost = sum(task.get(timeout=seconds + 60) != seconds for task in long)
    if len(busy) != BUSY or not busy <= everybody:
        raise RuntimeError(f"the long tasks ran in {sorted(busy)}, not in {BUSY} of the {WORKERS} pods")
    return told, lost


def play(release: Release, name: str, steward: bool, rounds: int, seconds: int) -> Way:
    """Install one way, and play all its rounds."""
    pool = {"autoscaling": {"replicas": WORKERS}}
    release.install(HOLDER, {"steward": {"enabled": steward}, "workers": {"default": pool}})
    way = Way(name, [], 0, 0)
    with Holder.of(release) as holder:
        for number in range(rounds):
            told, lost = one_round(holder, seconds)
            way.told.append(told)
            way.lost += lost
            print(f"{name}, round {number + 1}: {told} of {BUSY} busy pods told to stop", flush=True)
    if steward:
        said = release.kubectl("logs", f"deployment/{release.fullname}-steward", "--tail=-1")
        way.writes = said.count("deletion cost")
    return way


def print_ways(ways: list[Way], seconds: int) -> None:
    """Print the shares, and the ratio of the second way to the first."""
    print(f"\n{WORKERS} pods to {BUSY}, {BUSY} of them with a task of {seconds} s; {len(ways[0].told)} rounds each way")
    print(f"{'':14}{'told to stop while busy':>25}{'share':>8}{'tasks lost':>12}{'writes a round':>16}")
    for way in ways:
        told = f"{sum(way.told)} of {BUSY * len(way.told)}"
        print(f"{way.name:14}{told:>25}{way.share:8.0%}{way.lost:12}{way.writes / len(way.told):16.1f}")
    without, with_it = (way.share for way in ways)
    print(f"\nratio, with to without: {with_it / without if without else float('nan'):.2f} (goal: 0)")
    print(f"by chance: {1 - BUSY / WORKERS:.0%}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="steward")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=60)
    arguments = on_a_cluster(parser, LIMIT)
    with new_release("steward") as release:
        ways = [
            play(release, name, steward, arguments.rounds, arguments.seconds)
            for name, steward in (("without", False), ("with steward", True))
        ]
        print_ways(ways, arguments.seconds)


if __name__ == "__main__":
    main()
