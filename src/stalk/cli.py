"""The console script `stalk`. Imports are late: `stalk probe` runs every few seconds in every worker pod."""

import argparse
import sys
from collections.abc import Sequence

# Not typing.TYPE_CHECKING: typing is 5 ms that the probe does not have to pay.
TYPE_CHECKING = False
if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 refused or failed (with one line), 2 wrong arguments."""
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    arguments.more = more
    if more and arguments.command not in {"flower", "plan"}:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
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

    _add_flower(commands)
    _add_credentials(commands)
    _add_round_trip(commands)
    _add_steward(commands)
    _add_files(commands)
    # Its options are its own: it has many, and the probe would pay for them.
    plan = commands.add_parser("plan", help="simulate pools under the autoscaler", add_help=False, allow_abbrev=False)
    plan.set_defaults(run=_plan)
    return parser


def _add_flower(commands: "Commands") -> None:
    flower = commands.add_parser(
        "flower",
        help="start Flower with the passwords of the environment; further arguments are Flower's",
        allow_abbrev=False,  # or --p=1 would be --port
    )
    flower.add_argument("-A", "--app", required=True, metavar="MODULE:ATTR", help="a Celery app")
    flower.add_argument("--port", type=int, default=5555, help="where Flower listens (default: 5555)")
    flower.set_defaults(run=_flower)


def _add_credentials(commands: "Commands") -> None:
    credentials = commands.add_parser("credentials", help="in a pod: create a Secret, or add the keys that it lacks")
    credentials.add_argument("--secret", required=True, metavar="NAME", help="name of the Secret")
    credentials.add_argument("--key", action="append", default=[], metavar="KEY", help="a key with a random password")
    for option, about in (("--literal", "a key with this value"), ("--label", "a label for the Secret")):
        credentials.add_argument(option, action="append", default=[], type=_pair, metavar="NAME=VALUE", help=about)
    credentials.add_argument(
        "--generation", type=int, default=1, metavar="N", help="of the passwords; one more than the Secret's at most"
    )
    credentials.add_argument("--length", type=int, default=32, help="length of a password (default: 32)")
    credentials.add_argument(
        "--timeout", type=float, default=60, metavar="SECONDS", help="how long to wait for the API server (default: 60)"
    )
    credentials.set_defaults(run=_credentials)


def _add_round_trip(commands: "Commands") -> None:
    round_trip = commands.add_parser("round-trip", help="send a task through the API and wait for its result")
    round_trip.add_argument("--url", required=True, help="of the API, for example http://localhost:8000")
    round_trip.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="how long to wait for the result (default: 300)"
    )
    round_trip.set_defaults(run=_round_trip)


def _add_steward(commands: "Commands") -> None:
    steward = commands.add_parser("steward", help="in a pod: mark busy workers' pods, so that idle ones go first")
    steward.add_argument(
        "--selector", required=True, type=_labels, metavar="LABEL=VALUE,…", help="the labels of the workers' pods"
    )
    steward.set_defaults(run=_steward)


def _add_files(commands: "Commands") -> None:
    for name, about, run in (
        ("rabbitmq-definitions", "write users and virtual host for RabbitMQ's load_definitions", _rabbitmq_definitions),
        ("redis-config", "write a redis.conf that asks for the password", _redis_config),
    ):
        command = commands.add_parser(name, help=f"{about}, from the environment")
        command.add_argument("--output", required=True, metavar="PATH", help="the file to write")
        command.set_defaults(run=run)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{name!r} is not NAME=VALUE")
    return name, value


def _labels(text: str) -> dict[str, str]:
    return dict(map(_pair, text.split(",")))


def _probe(arguments: argparse.Namespace) -> str | None:
    from stalk.probe import probe

    return probe(arguments.kind, arguments.max_age)


def _topology(arguments: argparse.Namespace) -> str | None:
    from stalk.commands import topology

    return topology(arguments.app, arguments.queue, arguments.timeout)


def _flower(arguments: argparse.Namespace) -> str | None:
    from stalk.flower import flower

    return flower(arguments.app, arguments.port, arguments.more)


def _credentials(arguments: argparse.Namespace) -> str | None:
    from stalk.credentials import Wanted, credentials

    literals, labels = dict(arguments.literal), dict(arguments.label)
    wanted = Wanted(arguments.secret, arguments.key, literals, labels, arguments.length, arguments.generation)
    return credentials(wanted, arguments.timeout)


def _round_trip(arguments: argparse.Namespace) -> str | None:
    from stalk.round_trip import round_trip

    return round_trip(arguments.url, arguments.timeout)


def _plan(arguments: argparse.Namespace) -> str | None:
    from stalk.plan.command import plan

    return plan(arguments.more)


def _steward(arguments: argparse.Namespace) -> str | None:
    from stalk.steward.run import steward

    return steward(arguments.selector)


def _rabbitmq_definitions(arguments: argparse.Namespace) -> str | None:
    from stalk.rabbitmq_definitions import rabbitmq_definitions

    return rabbitmq_definitions(arguments.output)


def _redis_config(arguments: argparse.Namespace) -> str | None:
    from stalk.redis_config import redis_config

    return redis_config(arguments.output)
