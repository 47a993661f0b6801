"""The steward's turns against a real HTTPS server that behaves as the API server does for pods."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from kube.pods import WORKER, ServedPods
from stalk.api_server import ApiServer, Failed
from stalk.cli import main
from stalk.steward.events import Beat, Deaf, Event, Left
from stalk.steward.pods import Pods
from stalk.steward.run import LIST_EVERY, WRITES, Steward
from stalk.steward.selector import Selector

BUSY, IDLE = 1, 0
OF_WORKERS = ",".join(f"{name}={value}" for name, value in WORKER.items())


@pytest.fixture
def api(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedPods]:
    with ServedPods(tmp_path, authority).in_this_process(monkeypatch) as server:
        yield server


class Turned:
    """A steward whose clock the test turns."""

    def __init__(self, selector: str = OF_WORKERS) -> None:
        self.now = 0.0
        self.steward = Steward(Pods(ApiServer(), Selector.parse(selector)), self.now)

    def turn(self, *events: Event, seconds: float = 2) -> None:
        self.steward.turn(events, self.now)
        self.now += seconds

    def hear(self, active: int, *hosts: str, times: int = 1) -> None:
        for _ in range(times):
            self.turn(*[Beat(host, active, 2, self.now) for host in hosts])


@pytest.fixture
def turned(api: ServedPods) -> Turned:
    return Turned()


def test_a_busy_pod_costs_more_until_it_rests(api: ServedPods, turned: Turned) -> None:
    api.put("a")
    api.put("b")
    turned.hear(BUSY, "a", times=10)
    assert (api.cost("a"), api.cost("b")) == ("2", None)
    turned.hear(IDLE, "a", times=10)
    assert api.written == [("a", "2"), ("a", None)]
    assert api.pods["a"]["metadata"]["annotations"] == {"other": "stays"}


def test_nothing_is_written_or_read_for_a_heartbeat_that_says_nothing_new(api: ServedPods, turned: Turned) -> None:
    api.put("a")
    turned.hear(BUSY, "a", times=51)
    # A list every 10 s in 100 s, and one write.
    assert api.requests.count("PATCH") == 1
    assert api.requests.count("GET") == 11 + 1


def test_pods_that_are_not_workers_of_the_release_are_never_written_to(api: ServedPods, turned: Turned) -> None:
    api.put("api", labels=WORKER | {"app.kubernetes.io/component": "api"})
    api.put("other", labels=WORKER | {"app.kubernetes.io/instance": "other"})
    api.put("mine")
    turned.hear(BUSY, "api", "other", "mine", "of-no-pod", times=10)
    assert api.written == [("mine", "2")]


def test_of_several_pools_those_that_are_named(api: ServedPods) -> None:
    for pool in ("wide", "high", "narrow"):
        api.put(pool, labels=WORKER | {"stalk/pool": pool})
    api.put("none")
    turned = Turned(f"{OF_WORKERS},stalk/pool in (high,wide)")
    turned.hear(BUSY, "wide", "high", "narrow", "none", times=10)
    assert sorted(api.written) == [("high", "2"), ("wide", "2")]


def test_a_pod_that_changed_its_labels_is_let_go(api: ServedPods, turned: Turned) -> None:
    api.put("a")
    turned.hear(BUSY, "a")
    api.put("a", labels={})
    turned.hear(BUSY, "a", times=10)
    assert api.written == []


def test_a_pod_that_terminates_is_left_alone(api: ServedPods, turned: Turned) -> None:
    api.put("a", deletionTimestamp="2026-11-25T12:00:00Z")
    api.put("b")
    turned.hear(BUSY, "a", "b")
    api.put("b", deletionTimestamp="2026-11-25T12:00:01Z")  # after it was listed
    turned.hear(BUSY, "a", "b", times=4)
    assert api.written == []
    assert api.requests == ["GET", "GET"], "the list, and b once"


def test_a_pod_that_begins_to_terminate_meanwhile_is_left_alone(api: ServedPods, turned: Turned) -> None:
    api.put("a")
    api.meanwhile = [("PATCH", lambda: api.put("a", deletionTimestamp="2026-11-25T12:00:00Z"))]
    turned.hear(BUSY, "a", times=20)
    assert api.meanwhile == []
    assert api.written == []


def test_a_pod_that_is_gone(api: ServedPods, turned: Turned) -> None:
    api.put("a")
    turned.hear(BUSY, "a")
    api.pods.clear()
    turned.hear(BUSY, "a", times=20)
    assert api.written == []
    api.put("b")
    api.meanwhile = [("PATCH", api.pods.clear)]
    turned.hear(BUSY, "b", times=20)
    assert api.written == []
    assert turned.steward.knows_pods


def test_somebody_writes_at_the_same_time(api: ServedPods, turned: Turned, caplog: pytest.LogCaptureFixture) -> None:
    api.put("a")
    api.meanwhile = [("PATCH", lambda: api.put("a"))]
    turned.hear(BUSY, "a", times=10)
    assert api.written == [("a", "2")]
    assert "PATCH of pod a in namespace shop failed with 409: the object has been modified" in caplog.text


def test_an_annotation_that_is_lost_comes_back(api: ServedPods, turned: Turned) -> None:
    api.put("a")
    turned.hear(BUSY, "a", times=10)
    api.put("a", "no number")
    turned.hear(BUSY, "a", times=10)
    assert api.written == [("a", "2"), ("a", "2")]


def test_a_new_steward_goes_on(api: ServedPods) -> None:
    api.put("a", "2")
    api.put("b", "2")
    turned = Turned()
    for _ in range(10):
        turned.turn(Beat("a", BUSY, 2, turned.now), Beat("b", IDLE, 2, turned.now))
    assert api.written == [("b", None)]


def test_goodbyes_and_outages_change_nothing(api: ServedPods, turned: Turned) -> None:
    api.put("a", "2")
    api.put("b")
    turned.hear(BUSY, "a", times=3)
    turned.hear(IDLE, "b", times=3)
    turned.turn(Left("a"), Deaf())
    for _ in range(100):
        turned.turn()
    assert api.written == []


def test_few_writes_at_a_time_and_the_busy_first(api: ServedPods, turned: Turned) -> None:
    idle = [f"idle-{number}" for number in range(2 * WRITES)]
    busy = [f"busy-{number}" for number in range(2 * WRITES)]
    for name in idle:
        api.put(name, "2")
    for name in busy:
        api.put(name)
    both = [*((name, BUSY) for name in busy), *((name, IDLE) for name in idle)]
    turned.steward.turn([Beat(name, active, 2, at) for at in range(0, 20, 2) for name, active in both], 20)
    sizes = [len(api.written)]
    for second in range(21, 26):
        turned.steward.turn([], second)
        sizes.append(len(api.written))
    assert sizes == [WRITES, 2 * WRITES, 3 * WRITES, 4 * WRITES, 4 * WRITES, 4 * WRITES]
    assert {name for name, _ in api.written[: 2 * WRITES]} == set(busy)


def test_a_server_that_comes_and_goes(api: ServedPods, turned: Turned, caplog: pytest.LogCaptureFixture) -> None:
    api.put("a")
    api.faults = [None, 503, 429, 500]
    turned.turn(seconds=1)
    assert not turned.steward.knows_pods
    turned.hear(BUSY, "a", times=15)
    assert api.written == [("a", "2")]
    assert turned.steward.knows_pods
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 4
    assert "the API server answers 503: the server is not ready; trying again in 2 s" in caplog.text


RULE = '{apiGroups: [""], resources: [pods], verbs: [get, list, patch]}'


@pytest.mark.parametrize(("denied", "does"), [("GET", "list pods"), ("PATCH", "patch pod a")])
def test_a_right_that_is_missing_is_named_and_waited_for(
    api: ServedPods, turned: Turned, caplog: pytest.LogCaptureFixture, denied: str, does: str
) -> None:
    api.put("a")
    api.denied = {denied}
    turned.hear(BUSY, "a", times=10)
    assert (
        f"the service account may not {does} in namespace shop (403: pods is forbidden: User "
        f'"system:serviceaccount:shop:stalk" cannot do that); add to its Role: {RULE}; trying again in 1 s'
    ) in caplog.text
    assert len(api.requests) < 12, "less and less often"
    assert not turned.steward.knows_pods
    api.denied.clear()
    turned.hear(BUSY, "a", times=20)
    assert api.written == [("a", "2")]


def test_a_token_that_is_not_known(api: ServedPods, turned: Turned, caplog: pytest.LogCaptureFixture) -> None:
    (api.folder / "token").write_text("another")
    turned.turn()
    assert f"the API server does not know the token in {api.folder / 'token'}: 401: Unauthorized" in caplog.text


def test_without_a_token_it_ends(api: ServedPods, turned: Turned) -> None:
    (api.folder / "token").unlink()
    with pytest.raises(Failed, match="the pod needs automountServiceAccountToken: true"):
        turned.turn()


def test_a_new_pod_is_seen_to_from_the_next_list_on(api: ServedPods, turned: Turned) -> None:
    turned.turn()
    api.put("a")
    while not api.written:
        turned.hear(BUSY, "a")
    assert turned.now <= LIST_EVERY + 6


def test_not_in_a_pod(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["steward", "--selector", "a=b"]) == 1
    assert capsys.readouterr().err.startswith("stalk steward: this runs in a pod: KUBERNETES_SERVICE_HOST and ")


def test_selectors_are_read_as_kubernetes_reads_them() -> None:
    selector = Selector.parse("a/b.c=d,e in (f,g-1, h),i=j")
    assert selector.wanted == {"a/b.c": {"d"}, "e": {"f", "g-1", "h"}, "i": {"j"}}
    assert selector.matches({"a/b.c": "d", "e": "h", "i": "j", "k": "l"})
    assert not selector.matches({"a/b.c": "d", "e": "i", "i": "j"})
    assert not selector.matches({"a/b.c": "d", "i": "j"})


@pytest.mark.parametrize("selector", ["a", "a=b,c", "a!=b", "a in b", "a in ()", "a in (b", "a notin (b)", ""])
def test_no_selector_that_says_anything_else(selector: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["steward", "--selector", selector])
    assert stop.value.code == 2
    assert "is not NAME=VALUE, nor NAME in (VALUE,…)" in capsys.readouterr().err
