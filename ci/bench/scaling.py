"""From zero: how long a task waits for its worker, part by part, and what a burst takes, with KEDA and with the HPA.

Needs a cluster with KEDA and metrics-server that KUBECONFIG names, with the chart's images. It works in a namespace of
its own, which goes at the end. `--rounds N` measures each start N times.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import _burst, _planned, _plot, _starts
from bench._burst import Burst
from bench._cluster import new_release, on_a_cluster
from bench._planned import Measured
from bench._starts import Start
from e2e.harness import Release, until

REPORTS = Path(__file__).parents[2] / "reports"
PLOT = REPORTS / "scaling.svg"
DATA = REPORTS / "scaling.json"
LIMIT = 15 * 60
"""Seconds that the whole may take."""
GOAL = 1.5
"""Seconds that KEDA may add to the floor and one polling interval."""
TASKS, TASK_SECONDS, MOST = 60, 2, 6
# The polling interval and all that a pod's start depends on are the chart's own.
VALUES: dict[str, Any] = {
    "flower": {"enabled": False},
    "extraEnv": {"STEPS": "1", "STEP_SECONDS": str(TASK_SECONDS)},
    "workerDefaults": {"longestTaskSeconds": 10, "autoscaling": {"max": MOST, "cooldownPeriod": 15}},
}
PARTS = ["publish to replica asked for", "replica asked for to pod running", "pod running to task started"]


def install(release: Release, mode: str) -> None:
    """Install, or change the mode."""
    release.install(VALUES, {"workerDefaults": {"autoscaling": {"mode": mode}}})


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile, between the two nearest values."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def print_starts(keda: list[Start], hand: list[Start], interval: float) -> None:
    """Print where the time goes, beside the floor."""
    print(f"\nfrom zero, {len(keda)} rounds; seconds")
    print(f"{'':36}{'KEDA p50':>10}{'p95':>8}{'share':>8}{'by hand p50':>14}{'p95':>8}{'share':>8}")
    columns = [[start.parts for start in starts] for starts in (keda, hand)]
    totals = [[sum(parts) for parts in rows] for rows in columns]
    for index, name in enumerate([*PARTS, "publish to task started"]):
        line = f"{name:36}"
        for rows, total, width in zip(columns, totals, (10, 14), strict=True):
            values = [parts[index] for parts in rows] if index < len(PARTS) else total
            share = sum(values) / sum(total)
            line += f"{statistics.median(values):{width}.2f}{p95(values):8.2f}{share:8.0%}"
        print(line)
    added = p95(totals[0]) - p95(totals[1]) - interval
    print(
        f"\nKEDA's p95 less the floor's p95 and one polling interval of {interval:g} s: {added:.2f} s "
        f"(goal: at most {GOAL} s)"
    )


def print_bursts(bursts: list[Burst]) -> None:
    """Print what the bursts took."""
    print(f"\n{TASKS} tasks of {TASK_SECONDS} s at once, at most {MOST} pods of one slot; {PLOT}")
    print(
        f"{'':8}{'drained, s':>12}{'most pods':>11}{'pod-seconds until drained':>27}{'until at rest':>15}{'at rest':>9}"
    )
    for burst in bursts:
        until_drained = burst.pod_seconds(burst.drained)
        print(
            f"{burst.name:8}{burst.drained:12.0f}{burst.most:11}{until_drained:27.0f}"
            f"{burst.pod_seconds():15.0f}{burst.rest:9}"
        )


def measurement(starts: list[Start], burst: Burst, interval: float, cooldown: float) -> Measured:
    """Return a burst with KEDA, and what the planner needs to know to foretell it."""
    pod_start = statistics.median(sum(start.parts[1:]) for start in starts)
    return Measured(TASKS, TASK_SECONDS, MOST, interval, cooldown, pod_start, burst)


def measure(release: Release, rounds: int) -> None:
    """Do all of it on one release, and print."""
    install(release, "keda")
    until(lambda: release.condition("Ready") == "True")
    spec = release.scaled_object()["spec"]
    interval = float(spec["pollingInterval"])
    print(f"pollingInterval {interval:g} s, cooldownPeriod {spec['cooldownPeriod']} s")
    keda = _starts.by_keda(release, rounds, interval)
    bursts = [_burst.run(release, "keda", TASKS, least=0)]
    install(release, "none")
    print_starts(keda, _starts.by_hand(release, rounds), interval)
    install(release, "hpa")
    bursts.append(_burst.run(release, "hpa", TASKS, least=1))
    _plot.draw(bursts, PLOT)
    print_bursts(bursts)
    measured = measurement(keda, bursts[0], interval, float(spec["cooldownPeriod"]))
    _planned.print_errors(measured)
    DATA.write_text(json.dumps(measured.to_json() | {"bursts": [burst.to_json() for burst in bursts]}))
    print(f"\nthe timelines: {DATA}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scaling")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = on_a_cluster(parser, LIMIT).rounds
    with new_release("scaling") as release:
        measure(release, rounds)


if __name__ == "__main__":
    main()
