"""The command `stalk doctor`."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from stalk.doctor.catalogue import Severity
from stalk.doctor.findings import Finding
from stalk.doctor.gather import Late
from stalk.doctor.inside import LIMIT_SECONDS, Asked, examine
from stalk.doctor.redact import Redactor
from stalk.doctor.report import Report
from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster
from stalk.doctor.target import Target, of_app, of_settings
from stalk.flower import FlowerSettings
from stalk.settings import load

__all__ = ["Options", "doctor"]

UNCHECKED = 2
PAUSE_SECONDS = 2.0


class NoApp(Exception):
    """The app that was named cannot be looked at; the text says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    app: str | None
    queues: list[str]
    task_id: str | None
    api_url: str | None
    as_json: bool
    namespace: str | None = None
    release: str | None = None
    context: str | None = None
    in_cluster: bool = False
    """Ask Kubernetes with this pod's service account, beside what the environment names."""
    fail_on: Severity = "warning"
    """The least severity that is a failure."""
    wait: float = 0
    """Seconds in which what is wrong may still become right."""

    @property
    def outside(self) -> bool:
        """Tell whether a release in a cluster is meant, and not this environment."""
        if self.in_cluster:
            return False
        if self.namespace or self.release or self.context:
            return True
        ours = ("BROKER_URL", "BROKER_HOST", "BROKER_PORT", "KUBERNETES_SERVICE_HOST")
        named = self.app or self.queues or any(os.environ.get(name) for name in ours)
        return not named and Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config").is_file()


def doctor(options: Options) -> int:
    """Walk the chain and print the outcome; return the exit code.

    Returns:
        0: nothing is wrong; 1: something is; 2: the question is wrong, or what it asks for could not be checked.
    """
    look = _outside if options.outside else _inside
    end = time.monotonic() + options.wait
    while True:
        outcome = _outcome(look, options)
        well = isinstance(outcome, Report) and outcome.exit_code == 0
        if well or time.monotonic() + PAUSE_SECONDS + LIMIT_SECONDS > end:
            break
        time.sleep(PAUSE_SECONDS)
    if isinstance(outcome, str):
        print(f"stalk doctor: {outcome}", file=sys.stderr)
        return UNCHECKED
    outcome.print(as_json=options.as_json)
    return outcome.exit_code


def _outcome(look: Callable[[Options, float], Report], options: Options) -> Report | str:
    """Look once; return what may be printed of it, or why there is nothing to see."""
    try:
        return replace(look(options, time.monotonic()), least=options.fail_on)
    except (NoApp, NoCluster, Late) as error:
        return str(error)


def _outside(options: Options, began: float) -> Report:
    from stalk.doctor.outside import examine_release
    from stalk.doctor.sources.kubeconfig import KubeConfig

    kubernetes = Kubernetes(KubeConfig(options.context, options.namespace))
    report, redact = examine_release(kubernetes, options.release, Asked(options.task_id, options.api_url), began)
    return report.redacted(redact)


def _inside(options: Options, began: float) -> Report:
    settings = _settings()
    if isinstance(settings, str):
        bad = Finding(
            "setting-invalid", settings.removeprefix("bad setting: "), "env | grep -oE '^(BROKER|REDIS)_[A-Z_]+'"
        )
        return Report([bad], (), {}, time.monotonic() - began).redacted(Redactor(()))
    target, asked = _target(options, settings), Asked(options.task_id, options.api_url)
    if not options.in_cluster:
        return examine(target, asked, began).redacted(Redactor(target.secrets, target.public))
    from stalk.doctor.release import examine_both
    from stalk.doctor.sources.service_account import ServiceAccount

    kubernetes = Kubernetes(ServiceAccount(options.namespace))
    report, public = examine_both(kubernetes, options.release, target, asked, began)
    return report.redacted(Redactor(target.secrets, public))


def _target(options: Options, settings: FlowerSettings) -> Target:
    if options.app is None:
        return of_settings("this environment", settings, options.queues)
    try:
        return of_app(options.app, settings, options.queues)
    except Exception as error:  # whatever the import of somebody's app raises
        raise NoApp(f"-A {options.app}: {type(error).__name__}: {error}") from error


def _settings() -> FlowerSettings | str:
    """Return the settings of the environment, or what is wrong with them."""
    try:
        return load(FlowerSettings)
    except SystemExit as error:
        return str(error.code)
