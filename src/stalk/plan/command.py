"""The options of `stalk plan`. What needs numpy is imported when the options are right."""

import argparse
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from stalk.extras import install
from stalk.plan.units import PlanProblem

__all__ = ["plan"]

PACKAGES = ("matplotlib", "numpy", "yaml")
QUERY = "sum(rate(stalk_tasks_accepted_total[5m]))"
"""The demo API's counter; any query that answers tasks a second will do."""
EXAMPLE = "stalk plan --rate 20/s --duration p50=2s,p95=8s --concurrency 4 --pod-cost 0.04 --wait-p95 5s"


def plan(words: Sequence[str]) -> str | None:
    """Run the command; return what is wrong, or None.

    Args:
        words: after `stalk plan`.
    """
    options = _parser().parse_args(words)
    missing = [name for name in PACKAGES if not _is_there(name)]
    if missing:
        return f"needs {', '.join(missing)}. Type once:  {install('plan')}"
    from stalk.plan.planning import run

    try:
        return run(options)
    except PlanProblem as problem:
        return str(problem)


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # it was tried before, and is not
        return False


def _whole(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _several(least: int) -> Callable[[str], list[int]]:
    def parse(text: str) -> list[int]:
        numbers = text.split(",")
        if not all(each.isdecimal() and int(each) >= least for each in numbers):
            raise argparse.ArgumentTypeError(f"{text!r} is not whole numbers of at least {least}, such as 2 or 1,2,4")
        return [int(each) for each in numbers]

    return parse


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stalk plan",
        description="Simulate pools of workers under KEDA and the HorizontalPodAutoscaler, compare settings, and print "
        "the values of the best. docs/planning.md says what is modelled.",
        epilog=f"Example: {EXAMPLE}",
        allow_abbrev=False,
    )
    _add_work(parser)
    _add_pool(parser)
    _add_cluster(parser)
    _add_goal(parser)
    return parser


def _add_work(parser: argparse.ArgumentParser) -> None:
    work = parser.add_argument_group("tasks; with POOL: in front, for one pool")
    work.add_argument("--rate", action="append", metavar="RATE", help="they come at random: 20/s, 90/min, 1e6/d")
    work.add_argument("--burst", action="append", metavar="TASKS", help="so many at once")
    work.add_argument("--trace", action="append", metavar="CSV", help="a column of timestamps, or timestamp,count")
    work.add_argument("--prometheus", action="append", metavar="URL|FILE", help="ask it, or a saved query_range answer")
    work.add_argument(
        "--query",
        default=QUERY,
        metavar="PROMQL",
        help="answers tasks a second (default: %(default)s)",
    )
    work.add_argument("--last", default="1d", metavar="TIME", help="of Prometheus: this long until now (default: 1d)")
    work.add_argument("--step", default="60s", metavar="TIME", help="of Prometheus: between points (default: 60s)")
    work.add_argument("--for", dest="length", default="1h", metavar="TIME", help="of --rate (default: 1h)")
    work.add_argument(
        "--duration",
        action="append",
        default=[],
        metavar="TIME",
        help="how long a task runs: 2s, p50=2s,p95=8s (lognormal), mean=2s (exponential), or a CSV file of seconds",
    )


def _add_pool(parser: argparse.ArgumentParser) -> None:
    pool = parser.add_argument_group("pool; several numbers, as in 1,2,4, are all tried")
    pool.add_argument("--values", metavar="YAML", help="the chart's values: its pools are the ones to begin with")
    pool.add_argument("--pool", metavar="NAME", help="only this one of them")
    pool.add_argument("--as-is", action="store_true", help="try nothing that no option names")
    pool.add_argument("--concurrency", type=_several(1), metavar="N", help="tasks at a time in one pod")
    pool.add_argument("--tasks-per-slot", type=_several(1), metavar="N", help="autoscaling.tasksPerSlot")
    pool.add_argument("--min", type=_several(0), metavar="N", help="autoscaling.min")
    pool.add_argument("--max", type=_several(1), metavar="N", help="autoscaling.max (default: half above the need)")
    pool.add_argument("--polling", type=_several(1), metavar="N", help="autoscaling.pollingInterval")
    pool.add_argument("--cooldown", type=_several(0), metavar="N", help="autoscaling.cooldownPeriod")
    pool.add_argument(
        "--behavior", type=lambda text: text.split(","), metavar="NAME", help="default, fast, thrifty, own (the file's)"
    )


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument("--pod-start", default="2s", metavar="TIME", help="replica asked for to worker ready (2s)")
    cluster.add_argument("--pod-stop", default="1.5s", metavar="TIME", help="last task ended to pod gone (1.5s)")
    cluster.add_argument("--statistics", metavar="TIME", help="rabbitmq.statisticsSeconds (1s; external brokers 5s)")
    cluster.add_argument(
        "--idle-first",
        action=argparse.BooleanOptionalAction,
        help="a scale-in takes pods without a task first (steward.enabled; default: it does)",
    )
    cluster.add_argument("--pod-cost", type=_above_zero, metavar="PRICE", help="of a pod for an hour")
    cluster.add_argument("--seed", type=int, default=0, help="of what chance decides: the same seed, the same plan")
    cluster.add_argument(
        "--runs", type=_whole, metavar="N", help="simulations of each candidate (20 below an hour, else 1)"
    )


def _add_goal(parser: argparse.ArgumentParser) -> None:
    goal = parser.add_argument_group("what is best, and what is printed")
    goal.add_argument("--wait-p95", metavar="TIME", help="the cheapest in which 95 %% of the tasks wait no longer")
    goal.add_argument(
        "--cost",
        type=_above_zero,
        nargs="?",
        const=0.0,
        metavar="PRICE",
        help="the cheapest; with a price, the shortest wait for it, over the planned time",
    )
    goal.add_argument("--load", action="store_true", help="also what all pools ask of RabbitMQ, Redis and Kubernetes")
    goal.add_argument(
        "--keep",
        type=_above_zero,
        default=86400,
        metavar="SECONDS",
        help="celery.resultExpiresSeconds, for --load (86400)",
    )
    goal.add_argument("--plot", metavar="FILE", help="draw it: plan.svg, plan.png")
    goal.add_argument("--json", action="store_true", help="JSON instead of text")
