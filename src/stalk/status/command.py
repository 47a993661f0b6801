"""The command `stalk status`."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stalk.doctor.findings import Unchecked
from stalk.doctor.forward import Forwards
from stalk.doctor.gather import Late, start
from stalk.doctor.reach import REACH_SECONDS, Reach, Secrets
from stalk.doctor.redact import Redactor
from stalk.doctor.sources.kubeconfig import KubeConfig
from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster
from stalk.doctor.sources.management import ask_management
from stalk.doctor.target import Target
from stalk.extras import install
from stalk.status.snapshot import Snapshot, look
from stalk.status.table import COLUMNS, problems, row, text

__all__ = ["Options", "status"]


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    namespace: str | None
    release: str | None
    context: str | None
    watch: bool
    interval: float
    seconds: float | None
    as_json: bool
    plot: Path | None


def status(options: Options) -> str | None:
    """Print pools, backlog and replicas, once or for a while; return what is wrong, or None."""
    try:
        kubernetes = Kubernetes(KubeConfig(options.context, options.namespace))
        with Forwards(kubernetes.context, kubernetes.namespace) as forwards:
            return _show(_Looks(kubernetes, options.release, forwards), options)
    except (NoCluster, Late) as error:
        return str(error)
    except ImportError as error:
        extra = "plot" if "matplotlib" in str(error) else "doctor"
        return f"{error.name} is not installed. Type once:  {install(extra)}"
    except ValueError as error:
        return str(error)


class _Looks:
    """Looks at a release again and again, over the same port-forward."""

    def __init__(self, kubernetes: Kubernetes, release: str | None, forwards: Forwards) -> None:
        self._kubernetes, self._release, self._forwards = kubernetes, release, forwards
        self._target: Target | None = None
        self._redact = Redactor(())

    def __call__(self) -> Snapshot:
        """Return the release as it is now.

        Raises:
            NoCluster: it cannot be asked for.
            Late: the API server took too long.
        """
        cluster = self._kubernetes.scaling(self._release, time.monotonic())
        queues, problem = None, ""
        try:
            if self._target is None:
                deadline, missing = time.monotonic() + REACH_SECONDS, list[Unchecked]()
                secrets = Secrets(self._kubernetes, deadline)
                reach = Reach(cluster, secrets, self._forwards, start(self._kubernetes.triggers), deadline)
                self._target = reach.target(missing)
                self._redact = Redactor({*secrets.values, *self._target.secrets}, self._target.public)
            found = ask_management(self._target)
            if found.problem is not None:
                problem, self._target = found.problem.text, None
            else:
                vhost = self._target.facts.vhost
                queues = {str(each["name"]): each for each in found.queues if each.get("vhost") == vhost}
        except Exception as error:  # the rest is still worth a look
            problem, self._target = str(error) or type(error).__name__, None
        return look(cluster, queues, time.time(), self._redact(problem))


def _show(looks: Callable[[], Snapshot], options: Options) -> str | None:
    """Show looks; the first one has to succeed, or there is nothing to watch."""
    if options.plot is not None:
        from stalk.status.plot import check

        check(options.plot)  # not at the end of the watched time
    snapshots = [looks()]
    try:
        with suppress(KeyboardInterrupt):
            _watch(looks, options, snapshots)
    finally:
        if options.plot is not None:
            from stalk.status.plot import draw

            draw(snapshots, options.plot)
            print(f"drew {len(snapshots)} looks over {snapshots[-1].at - snapshots[0].at:.0f} s into {options.plot}")
    return None


def _watch(looks: Callable[[], Snapshot], options: Options, snapshots: list[Snapshot]) -> None:
    """Show the first snapshot, and as long as it is wanted further ones, which are added to `snapshots`."""
    lasts = options.watch or options.plot is not None
    with _screen(options, lasts) as show:
        show(snapshots[-1])
        end = None if options.seconds is None else time.monotonic() + options.seconds
        while lasts and (end is None or time.monotonic() < end):
            time.sleep(options.interval)
            try:
                snapshots.append(looks())
            except (NoCluster, Late) as error:  # the next look may be answered
                show(snapshots[-1].kept(str(error)))
            else:
                show(snapshots[-1])


@contextmanager
def _screen(options: Options, lasts: bool) -> Iterator[Callable[[Snapshot], None]]:
    """Yield what shows a snapshot: a line of JSON, a table, or a table that changes in place."""
    if options.as_json:
        yield lambda snapshot: print(json.dumps(snapshot.as_json(), ensure_ascii=False), flush=True)
    elif not (lasts and sys.stdout.isatty()):
        yield lambda snapshot: print(text(snapshot), flush=True)
    else:
        from rich.live import Live

        with Live(auto_refresh=False) as live:
            yield lambda snapshot: live.update(_live(snapshot), refresh=True)


def _live(snapshot: Snapshot) -> Any:
    from rich.table import Table
    from rich.text import Text

    said = problems(snapshot) or [time.strftime("%H:%M:%S", time.localtime(snapshot.at))]
    table = Table(*COLUMNS, caption=Text("\n".join(said)))
    for pool in snapshot.pools:
        full = pool.maximum is not None and pool.wanted >= pool.maximum
        style = "red" if pool.dead_letters else "yellow" if pool.ready and full else ""
        # No markup: messages of Kubernetes have brackets, too.
        table.add_row(*map(Text, row(pool)), style=style)
    return table
