"""The command `stalk status`."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stalk.doctor.findings import Unchecked
from stalk.doctor.forward import Forwards
from stalk.doctor.gather import Late
from stalk.doctor.reach import Reach, Secrets
from stalk.doctor.redact import Redactor
from stalk.doctor.sources.kubeconfig import KubeConfig
from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster
from stalk.doctor.sources.management import ask_management
from stalk.doctor.target import Target
from stalk.extras import install
from stalk.status.snapshot import Snapshot, look
from stalk.status.table import COLUMNS, row, text

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
                secrets, missing = Secrets(self._kubernetes), list[Unchecked]()
                reach = Reach(cluster, secrets, self._forwards, self._kubernetes.triggers())
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
    snapshots = [looks()]
    lasts = options.watch or options.plot is not None
    with _screen(options, lasts) as show:
        show(snapshots[-1])
        end = None if options.seconds is None else time.monotonic() + options.seconds
        try:
            while lasts and (end is None or time.monotonic() < end):
                time.sleep(options.interval)
                snapshots.append(looks())
                show(snapshots[-1])
        except KeyboardInterrupt:
            pass
    if options.plot is not None:
        from stalk.status.plot import draw

        draw(snapshots, options.plot)
        print(f"drew {len(snapshots)} looks over {snapshots[-1].at - snapshots[0].at:.0f} s into {options.plot}")
    return None


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

    table = Table(*COLUMNS, caption=snapshot.problem or time.strftime("%H:%M:%S", time.localtime(snapshot.at)))
    for pool in snapshot.pools:
        style = "red" if pool.dead_letters else "yellow" if pool.ready and pool.wanted >= pool.maximum else ""
        table.add_row(*row(pool), style=style)
    return table
