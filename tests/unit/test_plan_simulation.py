"""The simulation, against cases worked by hand, queueing theory, and laws that hold for every pool."""

from collections.abc import Sequence
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stalk.plan.arrivals import Recording, burst, poisson
from stalk.plan.durations import exponential
from stalk.plan.pools import Pool, Site
from stalk.plan.simulation import Outcome, Phases, Tasks, simulate
from stalk.plan.units import PlanProblem

AT_ONCE = Phases(poll=0.5, sync=1.0, counted=0.0, collected=0.0)
"""KEDA looks at 0.5 s and what it reads is from 0 s; the HPA looks half a second later, and reads the same second."""


def tasks(times: Sequence[float], durations: Sequence[float], seconds: float = 0) -> Tasks:
    return Tasks(Recording(np.array(times), seconds), np.array(durations))


def run(work: Tasks, pool: Pool, site: Site | None = None, seed: int = 0, phases: Phases | None = None) -> Outcome:
    return simulate(work, pool, site or Site(), np.random.default_rng(seed), phases)


def fixed(replicas: int, concurrency: int = 1) -> Pool:
    return Pool(mode="none", replicas=replicas, concurrency=concurrency)


def test_two_slots_by_hand() -> None:
    outcome = run(tasks([0, 0, 1, 5], [3, 1, 4, 1]), fixed(2))
    assert outcome.started.tolist() == [0, 0, 1, 5]
    assert outcome.ended.tolist() == [3, 1, 5, 6]
    assert run(tasks([0, 0, 1, 5], [3, 1, 4, 1]), fixed(1)).started.tolist() == [0, 3, 4, 8]
    assert run(tasks([0, 0, 0, 0], [2, 2, 2, 2]), fixed(2, concurrency=2)).drained == 2


def test_from_zero_by_hand() -> None:
    """KEDA asks for a pod at 0.5, it works at 2.5; the HPA asks for three more at 1, they work at 3."""
    site = Site(pods_start=2, pods_stop=1)
    outcome = run(tasks([0] * 8, [4] * 8), Pool(cooldown=10, most=4), site, phases=AT_ONCE)
    assert outcome.wanted == ((0.0, 0), (0.5, 1), (1.0, 4), (25.5, 0))
    assert outcome.started.tolist() == [2.5, 3, 3, 3, 6.5, 7, 7, 7]
    assert outcome.drained == 11
    # Busy until 11; KEDA last sees work at 10.5, and lets go at the first look that is more than 10 s later.
    assert outcome.gone.tolist() == [26.5] * 4
    assert outcome.pod_seconds() == 26 + 3 * 25.5
    assert outcome.pod_seconds(2) == 1.5 + 3
    assert outcome.pods(np.array([0, 0.5, 1, 26, 27])).tolist() == [0, 1, 4, 4, 0]
    assert outcome.backlog(np.array([0, 2.4, 3, 7])).tolist() == [8, 8, 4, 0]


def test_what_is_read_is_as_old_as_the_statistics() -> None:
    late = Phases(poll=0.5, sync=14, counted=0.9, collected=0.8)  # counted at -0.1, the queue was still empty
    assert run(tasks([0], [1]), Pool(cooldown=0), phases=late).wanted[1] == (5.5, 1)
    assert run(tasks([0], [1]), Pool(cooldown=0), phases=AT_ONCE).wanted[1] == (0.5, 1)


def test_queues_are_counted_one_by_one() -> None:
    """Each queue is a trigger of its own, and the highest decides: six tasks in three queues ask for two pods."""
    outcome = run(tasks([0] * 6, [4] * 6), Pool(queues=("a", "b", "c"), cooldown=0), phases=AT_ONCE)
    assert outcome.wanted[:3] == ((0.0, 0), (0.5, 1), (1.0, 2))


def test_a_pod_that_ends_finishes_what_it_runs_and_is_paid_for() -> None:
    pool = Pool(cooldown=0, behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})
    outcome = run(tasks([0, 0], [4, 100]), pool, Site(pods_start=2, pods_stop=1), phases=AT_ONCE)
    assert outcome.ended.tolist() == [6.5, 103]
    assert (16.0, 1) in outcome.wanted, "one task is left, so one pod is enough"
    assert sorted(outcome.gone.tolist()) in ([17, 106.5], [104, 106.5]), "the busy one, if it is the one that goes"


@pytest.mark.parametrize("seed", range(5))
def test_idle_pods_go_first_where_something_sees_to_it(seed: int) -> None:
    pool = Pool(cooldown=0, behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})
    work = tasks([0] * 8, [4] * 7 + [200])
    outcome = run(work, pool, Site(pods_start=2, pods_stop=1, idle_first=True), seed=seed, phases=AT_ONCE)
    assert sum(gone > 100 for gone in outcome.gone) == 1


@pytest.mark.parametrize(("load", "servers"), [(0.5, 1), (3.5, 5), (8.0, 10)])
def test_mean_wait_is_erlangs(load: float, servers: int) -> None:
    """M/M/c: with Poisson arrivals, exponential tasks and fixed pods the mean wait is known (Erlang C)."""
    waiting = load**servers / factorial(servers) * servers / (servers - load)
    probability = waiting / (sum(load**k / factorial(k) for k in range(servers)) + waiting)
    expected = probability / (servers - load)
    rng = np.random.default_rng(7)
    recording = poisson(load, 400_000 / load)(rng)
    found = run(Tasks(recording, exponential(1.0)(len(recording.times), rng)), fixed(servers)).waits.mean()
    assert found == pytest.approx(expected, rel=0.05)


def test_pods_that_never_come_are_refused() -> None:
    with pytest.raises(PlanProblem, match="replicas: 0"):
        run(tasks([0], [1]), fixed(0))


def test_a_pool_that_may_not_shrink_comes_to_an_end() -> None:
    pool = Pool(least=1, behavior={"scaleDown": {"selectPolicy": "Disabled"}})
    outcome = run(tasks([0] * 30, [3] * 30), pool)
    assert outcome.wanted[-1][1] == 5
    assert outcome.until == outcome.drained


# A third of a second apart: moments that fall together are the hard ones.
MOMENTS = st.lists(st.integers(0, 900).map(lambda third: third / 3), min_size=1, max_size=60).map(sorted)
POOLS = st.builds(
    Pool,
    queues=st.sampled_from([("a",), ("a", "b")]),
    concurrency=st.integers(1, 3),
    least=st.integers(0, 2),
    most=st.integers(2, 6),
    tasks_per_slot=st.integers(1, 3),
    polling=st.integers(1, 30),
    cooldown=st.integers(0, 90),
    behavior=st.sampled_from(
        [
            {},
            {"scaleDown": {"stabilizationWindowSeconds": 0}},
            {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
        ]
    ),
)
SITES = st.builds(Site, pods_start=st.floats(0, 40), pods_stop=st.floats(0, 5), idle_first=st.booleans())


@settings(deadline=None, max_examples=150)
@given(times=MOMENTS, pool=POOLS, site=SITES, seed=st.integers(0, 99), data=st.data())
def test_laws_of_every_pool(times: list[float], pool: Pool, site: Site, seed: int, data: Any) -> None:
    durations = data.draw(st.lists(st.floats(0.01, 120), min_size=len(times), max_size=len(times)))
    outcome = run(tasks(times, durations), pool, site, seed)
    # Each task starts once, after it came and in the order in which it came, and runs to its end.
    assert len(outcome.started) == len(outcome.ended) == len(times)
    assert np.all(outcome.started >= outcome.arrived)
    assert np.all(np.diff(outcome.started) >= 0)
    assert outcome.ended - outcome.started == pytest.approx(durations)
    # Never more replicas than allowed, and at rest as few.
    assert max(wanted for _, wanted in outcome.wanted) <= pool.most
    assert outcome.wanted[-1][1] == pool.least
    # Never more tasks at a time than the pods that work have slots, and none is paid for less than it works.
    moments = np.concatenate([outcome.started, outcome.ended - 1e-9])
    running = np.searchsorted(np.sort(outcome.started), moments, side="right") - np.searchsorted(
        np.sort(outcome.ended), moments, side="right"
    )
    assert np.all(running <= outcome.pods(moments) * pool.concurrency)
    assert outcome.pod_seconds() * pool.concurrency >= sum(durations) - 1e-6
    assert np.all(outcome.gone >= outcome.created)
    # The same seed, the same answer.
    again = run(tasks(times, durations), pool, site, seed)
    assert (again.started.tolist(), again.wanted) == (outcome.started.tolist(), outcome.wanted)


@settings(deadline=None)
@given(times=MOMENTS, replicas=st.integers(1, 6), data=st.data())
def test_more_pods_never_wait_longer(times: list[float], replicas: int, data: Any) -> None:
    durations = data.draw(st.lists(st.floats(0.01, 120), min_size=len(times), max_size=len(times)))
    few = run(tasks(times, durations), fixed(replicas)).waits
    many = run(tasks(times, durations), fixed(replicas + 1)).waits
    assert np.all(many <= few + 1e-9)


def test_a_burst_is_all_at_once() -> None:
    assert burst(3)(np.random.default_rng(0)).times.tolist() == [0, 0, 0]
