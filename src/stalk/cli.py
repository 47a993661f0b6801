"""The console script `stalk`. Imports are late: `stalk probe` runs every few seconds in every worker pod."""

import argparse
import sys
from collections.abc import Sequence

# Not typing.TYPE_CHECKING: typing is 5 ms that the probe does not have to pay.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from stalk.steward.selector import Selector

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 refused or failed (with one line), 2 wrong arguments."""
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    arguments.more = more
    if more and arguments.command not in {"flower", "plan"}:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    problem: str | int | None = arguments.run(arguments)
    if isinstance(problem, int):  # a command whose answer is its exit code has printed it
        return problem
    if problem is not None:
        print(f"stalk {arguments.command}: {problem}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stalk", description="Run Celery on Kubernetes without losing a task.")
    commands = parser.add_subparsers(dest="command", required=True)

    probe = commands.add_parser("probe", help="is this pod's worker alive, ready, or able to hear that it is to stop?")
    probe.add_argument("kind", choices=["live", "ready", "stoppable"])
    probe.add_argument("--max-age", type=float, default=60, metavar="SECONDS", help="oldest heartbeat (default: 60)")
    probe.add_argument("--wait", type=float, default=60, metavar="SECONDS", help="until stoppable (default: 60)")
    probe.set_defaults(run=_probe)

    topology = commands.add_parser("topology", help="declare queues, dead-letter queues and delayed delivery")
    topology.add_argument("-A", "--app", metavar="MODULE:ATTR", help="a Celery app: declare its queues")
    topology.add_argument("-q", "--queue", action="append", default=[], metavar="NAME", help="declare this queue too")
    topology.add_argument(
        "--timeout", type=float, default=60, metavar="SECONDS", help="how long to wait for the broker (default: 60)"
    )
    topology.set_defaults(run=_topology)

    _add_dead_letters(commands)
    _add_flower(commands)
    _add_exporter(commands)
    _add_credentials(commands)
    _add_round_trip(commands)
    _add_steward(commands)
    _add_files(commands)
    _add_doctor(commands)
    _add_status(commands)
    # Its options are its own: it has many, and the probe would pay for them.
    plan = commands.add_parser("plan", help="simulate pools under the autoscaler", add_help=False, allow_abbrev=False)
    plan.set_defaults(run=_plan)
    return parser


def _add_dead_letters(commands: "Commands") -> None:
    dead_letters = commands.add_parser("dead-letters", help="what RabbitMQ gave up on: look at it, replay it, drop it")
    actions = dead_letters.add_subparsers(dest="action", required=True)
    app = argparse.ArgumentParser(add_help=False)
    app.add_argument("-A", "--app", metavar="MODULE:ATTR", help="a Celery app; without one, STALK_APP's")
    of_all, of_one, chosen, as_json = (argparse.ArgumentParser(add_help=False) for _ in range(4))
    of_all.add_argument("-q", "--queue", action="append", default=[], metavar="NAME", help="only this queue")
    of_one.add_argument("-q", "--queue", required=True, metavar="NAME", help="a task queue, or its dead-letter queue")
    which = chosen.add_mutually_exclusive_group(required=True)
    which.add_argument("--id", action="append", default=[], metavar="TASK_ID", help="this one; may be repeated")
    which.add_argument("--all", action="store_true", help="all that are there now")
    as_json.add_argument("--json", action="store_true", help="for programs")

    actions.add_parser("list", parents=[app, of_all, as_json], help="how many, how old, which tasks and why")
    show = actions.add_parser("show", parents=[app, of_one, as_json], help="each of them, oldest first")
    show.add_argument("--limit", type=_positive, default=20, metavar="N", help="at most so many (default: 20)")
    show.add_argument("--id", action="append", default=[], metavar="TASK_ID", help="this one; may be repeated")
    replay = actions.add_parser("replay", parents=[app, of_one, chosen], help="back to the task queue, same id")
    replay.add_argument("--dry-run", action="store_true", help="only say which")
    replay.add_argument("--again", action="store_true", help="with --id: put back before, but its copy is gone")
    drop = actions.add_parser("drop", parents=[app, of_one, chosen], help="throw them away")
    drop.add_argument("--yes", action="store_true", help="do not ask")
    dead_letters.set_defaults(run=_dead_letters)


def _add_flower(commands: "Commands") -> None:
    flower = commands.add_parser(
        "flower",
        help="start Flower with the passwords of the environment; further arguments are Flower's",
        allow_abbrev=False,  # or --p=1 would be --port
    )
    flower.add_argument("-A", "--app", required=True, metavar="MODULE:ATTR", help="a Celery app")
    flower.add_argument("--port", type=int, default=5555, help="where Flower listens (default: 5555)")
    flower.set_defaults(run=_flower)


def _add_exporter(commands: "Commands") -> None:
    exporter = commands.add_parser("exporter", help="tell Prometheus how long tasks wait for a worker")
    exporter.add_argument("--port", type=int, default=9808, help="where it listens (default: 9808)")
    exporter.add_argument(
        "-q", "--queue", action="append", default=[], metavar="NAME", help="show this queue before its first task"
    )
    exporter.set_defaults(run=_exporter)


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
        "--selector",
        required=True,
        type=_selector,
        metavar="SELECTOR",
        help="the labels of the workers' pods: LABEL=VALUE,…, or LABEL in (VALUE,…)",
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


def _add_doctor(commands: "Commands") -> None:
    doctor = commands.add_parser("doctor", help="walk the way of a task, and say what is broken and what mends it")
    doctor.add_argument("-A", "--app", metavar="MODULE:ATTR", help="the Celery app that sends; else the environment")
    doctor.add_argument("-q", "--queue", action="append", default=[], metavar="NAME", help="look at this queue")
    doctor.add_argument("--task-id", metavar="ID", help="a task that somebody waits for")
    doctor.add_argument("--url", help="of the API, for example http://localhost:8000")
    for name, about in (
        ("--namespace", "of a release in a cluster, looked at with this machine's kubeconfig"),
        ("--release", "its name, where the namespace has several"),
        ("--context", "of the kubeconfig"),
    ):
        doctor.add_argument(name, help=about)
    doctor.add_argument(
        "--in-cluster", action="store_true", help="in a pod: also ask Kubernetes, with the pod's service account"
    )
    doctor.add_argument(
        "--fail-on",
        choices=["warning", "error"],
        default="warning",
        help="the least severity that makes the exit code 1 (default: warning)",
    )
    doctor.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="look again for so long until nothing is wrong"
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _add_status(commands: "Commands") -> None:
    status = commands.add_parser("status", help="pools, backlog and replicas of a release in a cluster")
    status.add_argument("--namespace", help="of the release; else the kubeconfig's")
    status.add_argument("--release", help="its name, where the namespace has several")
    status.add_argument("--context", help="of the kubeconfig")
    status.add_argument("--watch", action="store_true", help="look again until Ctrl-C")
    status.add_argument("--interval", type=float, default=2, metavar="SECONDS", help="between two looks (default: 2)")
    status.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help="watch that long")
    status.add_argument("--plot", metavar="FILE", help="watch, then draw backlog and replicas, such as into out.svg")
    status.add_argument("--json", action="store_true", help="print one JSON object a look")
    status.set_defaults(run=_status)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{name!r} is not NAME=VALUE")
    return name, value


def _selector(text: str) -> "Selector":
    from stalk.steward.selector import Selector

    try:
        return Selector.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _probe(arguments: argparse.Namespace) -> str | None:
    from stalk.probe import probe, stoppable

    if arguments.kind == "stoppable":
        return stoppable(arguments.wait)
    return probe(arguments.kind, arguments.max_age)


def _topology(arguments: argparse.Namespace) -> str | None:
    from stalk.commands import topology

    return topology(arguments.app, arguments.queue, arguments.timeout)


def _dead_letters(arguments: argparse.Namespace) -> str | None:
    from stalk.dead_letters import command

    app, queue = arguments.app, arguments.queue
    if arguments.action == "list":
        return command.list_all(app, queue, arguments.json)
    if arguments.action == "show":
        return command.show(app, queue, arguments.limit, arguments.id, arguments.json)
    if arguments.action == "replay":
        return command.replay(app, queue, arguments.id, arguments.dry_run, arguments.again)
    return command.drop(app, queue, arguments.id, arguments.yes)


def _flower(arguments: argparse.Namespace) -> str | None:
    from stalk.flower import flower

    return flower(arguments.app, arguments.port, arguments.more)


def _exporter(arguments: argparse.Namespace) -> str | None:
    from stalk.exporter import exporter

    return exporter(arguments.port, arguments.queue)


def _credentials(arguments: argparse.Namespace) -> str | None:
    from stalk.credentials import Wanted, credentials

    literals, labels = dict(arguments.literal), dict(arguments.label)
    wanted = Wanted(arguments.secret, arguments.key, literals, labels, arguments.length, arguments.generation)
    return credentials(wanted, arguments.timeout)


def _round_trip(arguments: argparse.Namespace) -> str | None:
    from stalk.round_trip import round_trip

    return round_trip(arguments.url, arguments.timeout)


def _doctor(arguments: argparse.Namespace) -> int:
    from stalk.doctor.command import Options, doctor

    return doctor(
        Options(
            arguments.app,
            arguments.queue,
            arguments.task_id,
            arguments.url,
            arguments.json,
            arguments.namespace,
            arguments.release,
            arguments.context,
            arguments.in_cluster,
            arguments.fail_on,
            arguments.wait,
        )
    )


def _status(arguments: argparse.Namespace) -> str | None:
    from pathlib import Path

    from stalk.status.command import Options, status

    return status(
        Options(
            arguments.namespace,
            arguments.release,
            arguments.context,
            arguments.watch,
            arguments.interval,
            arguments.seconds,
            arguments.json,
            arguments.plot and Path(arguments.plot),
        )
    )


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
