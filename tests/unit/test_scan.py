"""`make scan`: what counts as explained."""

from pathlib import Path

from scan.explained import EXPLAINED
from scan.findings import Finding, judged

ROOT = Finding("CKV_1", "worker", "runs as root", "default.yaml Deployment.stalk.stalk-worker")


def test_a_finding_without_a_reason_is_a_problem() -> None:
    assert judged([ROOT], {}) == [f"not explained: {ROOT}"]
    assert judged([ROOT], {("CKV_1", "api"): "why"}) == [
        f"not explained: {ROOT}",
        "explained, but not found: CKV_1 (api)",
    ]


def test_a_reason_is_for_one_component_or_for_all() -> None:
    assert judged([ROOT, ROOT], {("CKV_1", "worker"): "why"}) == []
    assert judged([ROOT], {("CKV_1", "*"): "why"}) == []


def test_a_reason_for_nothing_is_a_problem() -> None:
    assert judged([], {("CKV_1", "*"): "why"}) == ["explained, but not found: CKV_1 (*)"]


def test_every_reason_is_a_sentence() -> None:
    assert all(reason.endswith(".") and len(reason) > 30 for reason in EXPLAINED.values())


def test_make_test_scans() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    assert "\ntest: lint scan " in makefile
