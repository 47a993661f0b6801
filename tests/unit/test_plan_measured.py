"""The plan of a burst that `ci/bench scaling` has measured on a cluster, and recorded."""

import json
from itertools import accumulate
from pathlib import Path

import pytest

from bench._burst import Burst, Look
from bench._planned import ERRORS, Measured, compare, plan, print_errors

FILE = Path(__file__).parent / "data" / "scaling.json"


@pytest.fixture
def measured() -> Measured:
    return Measured.from_json(json.loads(FILE.read_text(encoding="utf-8")))


def test_the_plan_is_as_close_as_the_documents_say(measured: Measured) -> None:
    for each in compare(measured):
        assert abs(each.error) <= ERRORS[each.name], each
        assert each.may_come(), each


def test_it_would_not_be_with_another_algorithm(measured: Measured) -> None:
    """The measured pods come as the HPA's code without `behavior` has it: one, four, six."""
    rising = list(accumulate((look.pods for look in measured.burst.looks), max))
    assert list(dict.fromkeys(rising)) == [0, 1, 4, 6]
    assert {tuple(wanted for _, wanted in each.wanted) for each in plan(measured).told} == {(0, 1, 4, 6, 0)}


def test_both_autoscalers_may_look_between_two_samples() -> None:
    """Recorded on a full node: four pods came at once, KEDA's and the three of the HPA that looked right after."""
    measured = Measured.from_json(json.loads(FILE.with_name("scaling-at-once.json").read_text(encoding="utf-8")))
    assert measured.steps == [2.091, 2.091]
    assert all(abs(each.error) <= ERRORS[each.name] and each.may_come() for each in compare(measured))


def test_another_pod_start_is_seen(measured: Measured) -> None:
    measured.pod_start += 10
    assert compare(measured)[0].error > ERRORS["drained, s"]


def test_steps_that_no_plan_has_are_said(measured: Measured) -> None:
    looks = [Look(0.0, 0, 0), Look(50.0, 9, 1), Look(90.0, 9, 4)]
    measured.burst = Burst("keda", looks, 95.0)
    with pytest.raises(RuntimeError, match=r"in no simulation do the replicas rise at \[50.0, 90.0\]"):
        compare(measured)


def test_what_is_written_is_read(measured: Measured, capsys: pytest.CaptureFixture[str]) -> None:
    assert Measured.from_json(json.loads(json.dumps(measured.to_json()))) == measured
    print_errors(measured)
    assert "pod-seconds until at rest" in capsys.readouterr().out
