"""The console script `stalk`. Imports are late: `stalk probe` runs every few seconds in every worker pod."""

import argparse
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 refused or failed (with one line), 2 wrong arguments."""
    arguments = _parser().parse_args(argv)
    problem: str | None = arguments.run(arguments)
    if problem is not None:
        print(f"stalk {arguments.command}: {problem}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stalk", description="Run Celery on Kubernetes without losing a task.")
    commands = parser.add_subparsers(dest="command", required=True)

    probe = commands.add_parser("probe", help="is this pod's worker alive, or ready? looks at its heartbeat files")
    probe.add_argument("kind", choices=["live", "ready"])
    probe.add_argument("--max-age", type=float, default=60, metavar="SECONDS", help="oldest heartbeat (default: 60)")
    probe.set_defaults(run=_probe)

    topology = commands.add_parser("topology", help="declare queues, dead-letter queues and delayed delivery")
    topology.add_argument("-A", "--app", metavar="MODULE:ATTR", help="a Celery app: declare its queues")
    topology.add_argument("-q", "--queue", action="append", default=[], metavar="NAME", help="declare this queue too")
    topology.add_argument(
        "--timeout", type=float, default=60, metavar="SECONDS", help="how long to wait for the broker (default: 60)"
    )
    topology.set_defaults(run=_topology)
    return parser


def _probe(arguments: argparse.Namespace) -> str | None:
    from stalk.probe import probe

    return probe(arguments.kind, arguments.max_age)


def _topology(arguments: argparse.Namespace) -> str | None:
    from stalk.commands import topology

    return topology(arguments.app, arguments.queue, arguments.timeout)
