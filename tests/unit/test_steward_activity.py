"""What a pod is worth, by a clock that tests turn."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalk.steward.activity import BUSY_AFTER, FORGET_AFTER, IDLE_AFTER, SILENT_AFTER, Activity, level

EVERY = 2.0
POD = "stalk-worker-default-abc"


class Told:
    """A pod whose annotation always is what `cost` says, and the clock."""

    def __init__(self, cost: int = 0) -> None:
        self.now = 100.0
        self.cost = cost
        self.activity = Activity(self.now)
        self.history: list[tuple[float, int]] = []
        """When the cost changed, and to what."""

    def look(self, host: str = POD) -> int:
        found = self.activity.cost(host, self.cost, self.now)
        if found != self.cost:
            self.history.append((self.now, found))
        self.cost = found
        return found

    def hear(self, *active: int, every: float = EVERY) -> int:
        """Take one heartbeat for each, and look after each."""
        for number in active:
            self.activity.heard(POD, number, every, self.now)
            self.look()
            self.now += every
        return self.cost

    def wait(self, seconds: float, others: bool = True) -> int:
        """Let time pass in which nobody, or only another worker, is heard."""
        end = self.now + seconds
        while self.now < end:
            self.now += EVERY
            if others:
                self.activity.heard("other", 0, EVERY, self.now)
            self.look()
        return self.cost


@pytest.mark.parametrize(
    ("active", "cost"), [(-1, 0), (0, 0), (1, 2), (2, 3), (3, 3), (4, 4), (7, 4), (8, 5), (100, 8)]
)
def test_more_tasks_cost_more_in_coarse_steps(active: int, cost: int) -> None:
    assert level(active) == cost


def test_busy_after_a_short_time_idle_after_a_longer_one() -> None:
    told = Told()
    told.hear(*[0] * 10, *[1] * 10, *[0] * 10)
    (busy, one), (idle, none) = told.history
    assert (one, none) == (2, 0)
    assert BUSY_AFTER <= busy - 120 <= BUSY_AFTER + EVERY
    assert IDLE_AFTER <= idle - 140 <= IDLE_AFTER + EVERY


def test_a_short_task_is_not_worth_a_write() -> None:
    told = Told()
    told.hear(*[0, 0, 0, 1, 1, 0] * 20)  # in two heartbeats: it ran for less than 6 s
    assert told.history == []


def test_a_stream_of_tasks_with_pauses_is_written_once() -> None:
    told = Told()
    told.hear(*[1, 1, 1, 0, 1, 0, 1, 1, 1, 0, 0, 0] * 20)
    assert [cost for _, cost in told.history] == [2]


def test_slots_that_come_and_go_settle() -> None:
    told = Told()
    told.hear(*[8, 3, 4, 7, 2, 5, 8, 4, 3, 6] * 30)
    assert len(told.history) <= 2
    assert 3 <= told.cost <= 5


def test_more_tasks_raise_and_fewer_lower() -> None:
    told = Told()
    assert told.hear(*[4] * 4) == 4
    assert told.hear(*[1] * 8) == 2
    assert told.hear(*[2] * 4) == 3


def test_a_new_steward_goes_on_where_the_last_one_was() -> None:
    told = Told(cost=2)
    assert told.hear(1, 1, 1, 1, 1, 1, 1) == 2
    assert told.history == []
    told = Told(cost=2)
    told.hear(*[0] * 10)
    ((idle, cost),) = told.history
    assert cost == 0
    assert idle - 100 >= IDLE_AFTER


def test_a_cost_of_somebody_elses_is_put_right() -> None:
    told = Told(cost=-100)
    assert told.hear(0, 0, 0) == 0
    told = Told(cost=1000)
    assert told.hear(*[0] * 7) == 0


def test_a_worker_that_is_never_heard_keeps_its_cost_for_a_while() -> None:
    told = Told(cost=2)
    assert told.wait(FORGET_AFTER - 10) == 2
    assert told.wait(20) == 0
    told = Told()
    told.wait(2 * FORGET_AFTER)
    assert told.history == []


def test_a_worker_that_falls_silent_while_others_speak_is_worth_more_than_an_idle_one_and_less_than_a_busy_one() -> (
    None
):
    """As one of `--pool solo` is, in a task; or an idle one on a full node."""
    told = Told()
    told.hear(0, 0, 0)
    assert told.wait(SILENT_AFTER - EVERY) == 0
    assert 0 < told.wait(3 * EVERY) < level(1)
    assert told.hear(*[0] * 10) == 0
    assert [cost for _, cost in told.history] == [1, 0]


def test_silence_takes_nothing_away() -> None:
    told = Told()
    told.hear(4, 4, 4)
    assert told.wait(3 * SILENT_AFTER) == 4


def test_silence_lasts_only_so_long() -> None:
    told = Told()
    told.hear(1, 1, 1)
    assert told.wait(FORGET_AFTER - 10) == 2
    assert told.wait(20) == 0


def test_silence_of_all_says_nothing() -> None:
    told = Told()
    told.hear(0, 0, 0)
    told.wait(100, others=False)
    assert told.history == []


def test_a_worker_that_speaks_seldom_is_not_silent() -> None:
    told = Told()
    told.hear(0, 0, 0, every=30)
    told.now -= 30
    told.wait(80)
    assert told.history == []
    told.wait(20)
    assert told.cost == 1


@pytest.mark.parametrize("cost", [0, 2])
def test_a_goodbye_leaves_the_cost_alone(cost: int) -> None:
    """A worker says so when it ends, and when it loses the broker with a task still running."""
    told = Told(cost)
    told.hear(*[cost // 2] * 5)
    told.activity.left(POD)
    told.activity.left("unknown")
    told.wait(100)
    assert told.history == []


def test_after_the_broker_was_away_nobody_counts_as_silent() -> None:
    told = Told()
    told.hear(0, 0, 0)
    told.activity.deaf()
    told.wait(100)
    assert told.history == []
    assert told.hear(1, 1, 1) == 2


def test_a_gap_is_not_rest() -> None:
    told = Told(cost=2)
    told.hear(1, 1, 0)
    told.wait(SILENT_AFTER + 10, others=False)
    assert told.hear(0) == 2
    assert told.hear(*[0] * 7) == 0


def test_who_is_gone_is_forgotten() -> None:
    told = Told()
    told.hear(1)
    told.now += FORGET_AFTER + 1
    told.activity.heard("other", 1, EVERY, told.now)
    told.activity.forget(told.now)
    assert set(told.activity._workers) == {"other"}


heartbeats = st.lists(st.integers(0, 9), min_size=1, max_size=80)


@given(heartbeats, st.integers(-5, 5))
def test_writes_are_rare_whatever_a_worker_does(active: list[int], cost: int) -> None:
    told = Told(cost)
    told.hear(*active)
    times = [at for at, _ in told.history]
    assert all(later - earlier >= EVERY for earlier, later in pairwise(times))
    costs = [cost, *(cost for _, cost in told.history)]
    turns = [
        times[index]
        for index, (before, at, after) in enumerate(zip(costs, costs[1:], costs[2:], strict=False))
        if (before < at) != (at < after)
    ]
    # Up, down and up again takes a rest and a while of work.
    assert len(turns) <= 1 + 2 * (told.now - 100) / (BUSY_AFTER + IDLE_AFTER)


@given(heartbeats, st.integers(0, 5))
def test_the_cost_is_one_that_was_seen(active: list[int], cost: int) -> None:
    told = Told(cost)
    told.hear(*active)
    assert told.cost in {cost, *map(level, active)}


@given(heartbeats, st.integers(0, 9), st.integers(0, 5))
def test_what_stays_the_same_is_reached(before: list[int], then: int, cost: int) -> None:
    told = Told(cost)
    told.hear(*before)
    assert told.hear(*[then] * 7) == level(then)
    changes = len(told.history)
    told.hear(*[then] * 50)
    assert len(told.history) == changes


@given(st.lists(st.tuples(st.floats(0, 400), st.integers(0, 9) | st.none() | st.just("left")), max_size=40))
def test_a_pod_that_was_never_busy_and_never_silent_costs_nothing(steps: list[tuple[float, object]]) -> None:
    """Whatever others say, do, or leave out."""
    told = Told()
    for pause, what in steps:
        told.now += pause
        if isinstance(what, int):
            told.activity.heard("other", what, EVERY, told.now)
        elif what:
            told.activity.left("other")
        else:
            told.activity.deaf()
        assert told.look() == 0
