"""The same chart with the Helm 3 program, which also knows what the cluster has."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from charting.cases import CASES, EVERYTHING
from charting.objects import key, of_kind
from charting.rendering import CHART, EXTRA, NAMESPACE, RELEASE, Object, Values, load, render

HELM = Path(sys.executable).parent / "helm"
KEDA = "keda.sh/v1alpha1/ScaledObject"


def helm(*words: str, values: Values) -> str:
    done = subprocess.run(
        [HELM, *words, "--values", "-"], input=json.dumps(values), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def template(values: Values, *words: str) -> list[Object]:
    return load(helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *words, values=values))


@pytest.mark.parametrize("case", ["defaults", "everything", "external"])
def test_helm_3_renders_the_same(case: str) -> None:
    values = CASES[case]
    assert EXTRA not in values
    assert sorted(map(json.dumps, template(values))) == sorted(map(json.dumps, render(values)))


def test_auto_is_keda_where_the_cluster_has_it() -> None:
    objects = template({}, "--api-versions", KEDA)
    assert [key(thing) for thing in of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")] == [
        "ScaledObject/demo-stalk-worker-default"
    ]


def test_lint() -> None:
    assert "0 chart(s) failed" in helm("lint", str(CHART), "--strict", values=EVERYTHING)


@pytest.mark.parametrize("version", ["1.29.0", "1.37.0"])
def test_oldest_and_newest_kubernetes(version: str) -> None:
    assert template(EVERYTHING, "--kube-version", version)


def test_an_older_kubernetes_is_refused() -> None:
    done = subprocess.run(
        [HELM, "template", str(CHART), "--kube-version", "1.28.0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "incompatible with Kubernetes v1.28.0" in done.stderr
