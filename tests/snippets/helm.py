"""Helm's lines: its own parser takes the flags, and the chart is rendered with the values."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import helm_python
import yaml

from charting.rendering import CHART, merged, refusal
from snippets.blocks import ROOT
from snippets.world import RELEASE

__all__ = ["OCI", "problems", "values_of"]

HELM = ROOT / "ci" / "deploy" / "helm"
OCI = "oci://ghcr.io/stalk-celery/charts/stalk"
"""Where a released chart is."""
_REPOSITORIES = {"kedacore": "https://kedacore.github.io/charts"}
"""Of others, by the name that documents give them."""
_WITH_VALUE = {
    *("-n", "--namespace", "--repo", "--version", "--timeout", "--revision", "--kube-context", "--kube-version"),
    *("--set", "--set-string", "-f", "--values", "--api-versions", "-s", "--show-only"),
}


def problems(words: Sequence[str], files: Mapping[str, str]) -> Iterator[str]:
    """Tell what is wrong with a line.

    Args:
        words: `helm …`.
        files: values files that the page shows, by name.
    """
    # With --help Helm reads all flags, then does nothing.
    done = subprocess.run([HELM, *words[1:], "--help"], capture_output=True, text=True, check=False)
    if done.returncode:
        yield done.stderr.strip()
        return
    verb, *plain = _without_flags(words[1:])
    if verb in {"install", "upgrade", "template"}:
        yield from _rendered(plain, words, files)
    elif verb in {"history", "rollback", "status", "test", "uninstall"}:
        yield from _ours(plain[0])
    elif verb == "get":
        yield from _ours(plain[1])
    elif verb == "repo":
        if plain[0] == "add" and _REPOSITORIES.get(plain[1]) != plain[2]:
            yield f"an unknown repository: {plain[1:]}"
    elif verb in {"show", "pull"}:
        yield from _chart(plain[-1])
    else:
        yield f"no rule for helm {verb}: add one to tests/snippets/helm.py"


def _rendered(plain: Sequence[str], words: Sequence[str], files: Mapping[str, str]) -> Iterator[str]:
    if len(plain) != 2:
        yield f"a release and a chart, not {plain}"
        return
    release, chart = plain
    if chart.partition("/")[0] in _REPOSITORIES or {"--repo", _REPOSITORIES["kedacore"]} <= set(words):
        return
    yield from _ours(release)
    yield from _chart(chart)
    try:
        problem = refusal(values_of(words, files))
    except (FileNotFoundError, helm_python.HelmValuesError) as error:
        problem = str(error)
    if problem:
        yield problem


def _ours(release: str) -> Iterator[str]:
    if release != RELEASE:
        yield f"the documents' release is `{RELEASE}`, not {release}"


def _chart(name: str) -> Iterator[str]:
    if name != OCI and (ROOT / name) != CHART:
        yield f"there is no chart {name}"


def _without_flags(words: Sequence[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            yield word


def values_of(words: Sequence[str], files: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that the flags of a line give, as Helm merges them.

    Raises:
        FileNotFoundError: a values file that is neither in the page nor in the repository.
        HelmValuesError: `--set` cannot be read.
    """
    read = {"--set": helm_python.parse_set_string, "--set-string": helm_python.parse_set_string_values}
    layers: list[dict[str, Any]] = []
    above: list[dict[str, Any]] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in {"--values", "-f"}:
            layers.append(_file(value if equals else next(rest), files))
        elif name in read:
            above.append(read[name](value if equals else next(rest)))
    return merged(*layers, *above)


def _file(name: str, files: Mapping[str, str]) -> dict[str, Any]:
    if name in files:
        return yaml.safe_load(files[name]) or {}
    path = ROOT / name
    if not path.is_file():
        raise FileNotFoundError(f"neither the page nor the repository has {name}")
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
