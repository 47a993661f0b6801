"""The HPA's algorithm, against what kubernetes.io and its design (KEP-853) say of it, and against its source."""

from collections.abc import Sequence
from typing import Any

import pytest

from stalk.plan.hpa import DEFAULT_DOWN, DEFAULT_UP, Hpa, Policy, behavior
from stalk.plan.keda import Keda
from stalk.plan.units import PlanProblem

WHERE = "behavior"


def hpa(given: dict[str, Any] | None = None, least: int = 1, most: int = 10_000, target: float = 1) -> Hpa:
    return Hpa(least, most, target, behavior(given or {}, WHERE))


def follow(scaler: Hpa, start: int, wanted: Sequence[int], period: float = 15, begin: float = 0) -> list[int]:
    """Return the replicas after each sync, when the metric asks for `wanted` pods at each."""
    current, found = start, []
    for index, each in enumerate(wanted):
        current = scaler.sync(begin + index * period, current, [each * scaler.target])
        found.append(current)
    return found


@pytest.mark.parametrize(
    ("current", "messages", "target", "expected"),
    [
        (1, 2.0, 1, 2),  # twice the target doubles
        (4, 200, 100, 2),  # half of it halves
        (3, 7.0, 2, 4),  # rounded up
        (10, 109, 10, 10),  # within the tolerance of a tenth
        (10, 111, 10, 12),
        (10, 91, 10, 10),
        (10, 89, 10, 9),
        (1, 0, 1, 1),  # never below minReplicas
    ],
)
def test_desired_replicas(current: int, messages: float, target: float, expected: int) -> None:
    scaler = Hpa(1, 100, target, behavior({"scaleDown": {"stabilizationWindowSeconds": 0}}, WHERE))
    assert scaler.sync(0, current, [messages]) == expected


def test_the_trigger_that_asks_for_most_decides() -> None:
    assert hpa().sync(0, 1, [1, 3, 2]) == 3


def test_zero_switches_it_off() -> None:
    assert hpa().sync(0, 0, [50]) == 0


def test_without_behavior_it_doubles_or_goes_to_four() -> None:
    assert follow(hpa(), 1, [1000] * 5) == [4, 8, 16, 32, 64]


def test_default_behavior_adds_four_or_doubles() -> None:
    assert follow(hpa({"scaleUp": {}}), 1, [1000] * 4) == [5, 10, 20, 40]


def test_all_policies_of_the_documented_example_of_a_fast_scale_up() -> None:
    """KEP-853, story 1: 1 -> 10 -> 100 -> 1000."""
    fast = {"scaleUp": {"policies": [{"type": "Percent", "value": 900, "periodSeconds": 60}]}}
    assert follow(hpa(fast), 1, [1000] * 4, period=60) == [10, 100, 1000, 1000]


def test_the_documented_example_of_a_slow_scale_up() -> None:
    """KEP-853, story 3: 1 -> 2 -> 3 -> 4."""
    slow = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    assert follow(hpa(slow), 1, [10] * 3, period=60) == [2, 3, 4]
    assert follow(hpa(slow), 1, [10] * 9, period=15) == [2, 2, 2, 2, 3, 3, 3, 3, 4], "one a minute, not one a sync"


def test_a_part_of_a_pod_is_a_pod_on_the_way_up() -> None:
    tenth = {"scaleUp": {"policies": [{"type": "Percent", "value": 10, "periodSeconds": 15}]}}
    assert follow(hpa(tenth), 1, [100] * 3) == [2, 3, 4]


def test_the_documented_example_of_a_limited_scale_down() -> None:
    """kubernetes.io: 10 % or 4 pods a minute, whichever is more; 80 replicas that shall be 10."""
    limited = {
        "scaleDown": {
            "stabilizationWindowSeconds": 0,
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 60},
                {"type": "Percent", "value": 10, "periodSeconds": 60},
            ],
        }
    }
    assert follow(hpa(limited), 80, [10] * 11, period=60) == [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20]
    least = {"scaleDown": limited["scaleDown"] | {"selectPolicy": "Min"}}
    assert follow(hpa(least), 80, [10] * 3, period=60) == [76, 72, 68]
    never = {"scaleDown": limited["scaleDown"] | {"selectPolicy": "Disabled"}}
    assert follow(hpa(never), 80, [10] * 3, period=60) == [80, 80, 80]


def test_down_it_takes_the_highest_of_the_last_five_minutes() -> None:
    wanted = [10, 9, 8, 9, 10] + [2] * 21
    for scaler in (hpa(), hpa({"scaleDown": {}})):
        assert follow(scaler, 10, wanted)[:24] == [10] * 24
    assert follow(hpa({"scaleDown": {}}), 10, wanted)[-1] == 2
    assert follow(hpa({"scaleDown": {"stabilizationWindowSeconds": 60}}), 10, wanted)[:10] == [10] * 8 + [2, 2]


def test_up_it_takes_the_lowest_of_the_window() -> None:
    careful = {"scaleUp": {"stabilizationWindowSeconds": 60}}
    assert follow(hpa(careful), 2, [2, 9, 9, 9, 9, 9]) == [2, 2, 2, 2, 6, 9], "the last sync is four pods further"


def test_it_remembers_over_zero_what_it_wanted() -> None:
    """Without `behavior` the window counts on the way up too: a task that comes soon after finds the pods of before."""
    for given, expected in ((None, 6), ({"scaleUp": {}}, 1)):
        scaler = hpa(given, most=6)
        follow(scaler, 1, [60, 60])
        assert scaler.sync(60, 0, [0]) == 0
        second = scaler.sync(120, 1, [1])
        assert scaler.sync(135, second, [1]) == expected
        assert hpa(given, most=6).sync(120, 1, [1]) == 1


def test_bounds() -> None:
    assert follow(hpa(most=6), 1, [60, 60, 60]) == [4, 6, 6]
    assert hpa(least=3).sync(0, 1, [0]) == 3
    assert hpa(most=3).sync(0, 9, [100]) == 3


def test_what_a_behavior_leaves_out_is_kubernetes_default() -> None:
    found = behavior({"scaleUp": {"selectPolicy": "Min"}, "scaleDown": {"stabilizationWindowSeconds": 5}}, WHERE)
    assert found is not None
    assert (found.up.policies, found.up.select) == (DEFAULT_UP.policies, "Min")
    assert (found.down.policies, found.down.stabilization) == ((Policy("Percent", 100, 15),), 5)
    assert behavior({"scaleUp": None}, WHERE).up == DEFAULT_UP  # type: ignore[union-attr]
    assert behavior({}, WHERE) is None
    assert DEFAULT_DOWN.stabilization == 300


@pytest.mark.parametrize(
    "given",
    [
        {"scaleSideways": {}},
        {"scaleUp": 3},
        {"scaleUp": {"policies": [{"type": "Pods"}]}},
        {"scaleUp": {"policies": [{"type": "Shirts", "value": 1, "periodSeconds": 1}]}},
        {"scaleUp": {"selectPolicy": "Most"}},
        {"scaleDown": {"stabilizationWindowSeconds": "soon"}},
    ],
)
def test_no_behavior_is_refused_and_says_where(given: dict[str, Any]) -> None:
    with pytest.raises(PlanProblem, match=r"^values: workers\.a\.behavior: "):
        behavior(given, "values: workers.a.behavior")


def test_keda_goes_from_zero_to_one_and_from_n_to_zero() -> None:
    keda = Keda(least=0, cooldown=15)
    assert keda.poll(0, 0, 0) == 0
    assert keda.poll(5, 0, 1) == 1
    assert keda.poll(10, 4, 3) == 4, "between one and N the HPA decides"
    assert [keda.poll(now, 4, 0) for now in (15, 20, 25)] == [4, 4, 4], "15 s after it was last active are not over"
    assert keda.poll(30, 4, 0) == 0


def test_keda_leaves_the_least_alone() -> None:
    keda = Keda(least=3, cooldown=0)
    assert keda.poll(0, 0, 1) == 3
    assert keda.poll(50, 3, 0) == 3
    assert keda.poll(55, 1, 0) == 3
