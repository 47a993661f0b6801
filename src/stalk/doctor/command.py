"""The command `stalk doctor`."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from stalk.doctor.findings import Finding
from stalk.doctor.gather import Late
from stalk.doctor.inside import Asked, examine
from stalk.doctor.redact import Redactor
from stalk.doctor.report import Report
from stalk.doctor.target import Target, of_app, of_settings
from stalk.flower import FlowerSettings
from stalk.settings import load

__all__ = ["Options", "doctor"]

UNCHECKED = 2


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

    @property
    def outside(self) -> bool:
        """Tell whether a release in a cluster is meant, and not this environment."""
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
    began = time.monotonic()
    if options.outside:
        return _outside(options, began)
    settings = _settings()
    if isinstance(settings, str):
        bad = Finding("setting-invalid", settings.removeprefix("bad setting: "), "env | grep -E '^(BROKER|REDIS)_'")
        Report([bad], (), {}, time.monotonic() - began).redacted(Redactor(())).print(as_json=options.as_json)
        return 1
    try:
        target = _target(options, settings)
    except Exception as error:  # whatever the import of somebody's app raises
        print(f"stalk doctor: -A {options.app}: {type(error).__name__}: {error}", file=sys.stderr)
        return UNCHECKED
    report = examine(target, Asked(options.task_id, options.api_url), began)
    report.redacted(Redactor(target.secrets, target.public)).print(as_json=options.as_json)
    return report.exit_code


def _target(options: Options, settings: FlowerSettings) -> Target:
    if options.app is None:
        return of_settings("this environment", settings, options.queues)
    return of_app(options.app, settings, options.queues)


def _settings() -> FlowerSettings | str:
    """Return the settings of the environment, or what is wrong with them."""
    try:
        return load(FlowerSettings)
    except SystemExit as error:
        return str(error.code)


def _outside(options: Options, began: float) -> int:
    from stalk.doctor.outside import examine_release
    from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster

    try:
        kubernetes = Kubernetes(options.context, options.namespace)
        asked = Asked(options.task_id, options.api_url)
        report, redact = examine_release(kubernetes, options.release, asked, began)
    except (NoCluster, Late) as error:
        print(f"stalk doctor: {error}", file=sys.stderr)
        return UNCHECKED
    report.redacted(redact).print(as_json=options.as_json)
    return report.exit_code
