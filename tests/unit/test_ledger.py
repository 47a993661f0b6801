"""The chaos suite's judge: it must see what is wrong, and nothing else."""

import pytest
from pydantic import ValidationError

from app.ledger import Order, Record
from e2e.chaos.judge import Answer, Killed, Window, judge, judge_answers, runs_of

START, END, RETRY = "start", "end", "retry"


def record(event: str, run: str = "r1", host: str = "pod-a", pid: int = 7, at: float = 1) -> Record:
    return Record(event, run, host, pid, at)  # type: ignore[arg-type]


ONCE = [record(START), record(END, at=2)]
CUT = [record(START), record(START, "r2", "pod-b", 8, at=3), record(END, "r2", "pod-b", 8, at=4)]
TWICE = [*ONCE, record(START, "r2", "pod-b", 8, at=3), record(END, "r2", "pod-b", 8, at=4)]


def test_record_survives_its_text() -> None:
    assert Record.decode(record(START).encode().encode()) == record(START)


def test_order_says_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Order.model_validate({"explode": True})


def test_record_that_stands_twice_counts_once() -> None:
    [run] = runs_of([*ONCE, record(END, at=2.5), record(START, at=1.5)])
    assert (run.started, run.ended, run.executed, run.interrupted) == (1, 2, True, False)


def test_records_of_two_runs_at_once_are_told_apart() -> None:
    first, second = runs_of([record(START), record(START, "r2", at=1.5), record(END, "r2", at=2), record(END, at=3)])
    assert (first.run, first.ended, second.run, second.ended) == ("r1", 3, "r2", 2)


def test_each_once_is_right() -> None:
    found = judge({"a": ONCE, "b": ONCE}, Killed())
    assert (found.accepted, found.once, found.more, found.never, found.interrupted, found.problems) == (
        2,
        2,
        0,
        0,
        0,
        [],
    )


@pytest.mark.parametrize("records", [[], [record(START)], [record(START), record(RETRY, at=2)]])
def test_never_executed_is_wrong_whoever_was_killed(records: list[Record]) -> None:
    found = judge({"a": records}, Killed({("pod-a", None): 2.5}))
    assert found.never == 1
    assert "accepted and never executed: a" in found.problems[0]


def test_interruption_is_right_only_where_somebody_was_killed() -> None:
    for killed in (Killed({("pod-a", 7): 2.5}), Killed({("pod-a", None): 2.5})):
        found = judge({"a": CUT}, killed)
        assert (found.once, found.interrupted, found.problems) == (1, 1, [])
    for killed in (Killed(), Killed({("pod-a", 8): 2.5}), Killed({("pod-b", None): 9}), Killed({("pod-a", None): 0.5})):
        [problem] = judge({"a": CUT}, killed).problems
        assert problem == (
            "interrupted, though nobody killed it: a (on pod-a pid 7, did not end; on pod-b pid 8, ended)"
        )


def test_second_execution_is_right_only_after_a_kill_between_end_and_acknowledgement() -> None:
    found = judge({"a": TWICE}, Killed({("pod-a", None): 2.5}))
    assert (found.once, found.more, found.problems) == (0, 1, [])
    for killed in (Killed(), Killed({("pod-b", None): 2.5})):
        [problem] = judge({"a": TWICE}, killed).problems
        assert problem.startswith("executed 2 times, though nobody killed the first run: a")


def test_kill_excuses_nothing_that_had_ended_before() -> None:
    for at in (4.9, 2):  # the broker may not know yet of an end 2.9 s ago
        assert judge({"a": TWICE}, Killed({("pod-a", None): at})).problems == []
    for where in (("pod-a", None), ("pod-a", 7)):
        [problem] = judge({"a": TWICE}, Killed({where: 5.1})).problems
        assert problem.startswith("executed 2 times, though nobody killed the first run: a")


def test_kill_excuses_a_run_that_goes_on_for_a_while() -> None:
    assert judge({"a": TWICE}, Killed({("pod-a", None): 1.5})).problems == []


def test_second_retry_of_a_task_that_asks_once_is_a_second_run() -> None:
    runs = [
        *(record(START), record(RETRY, at=2)),
        *(record(START, "r2", "pod-b", at=3), record(RETRY, "r2", "pod-b", at=4)),
        *(record(START, "r3", "pod-b", at=5), record(END, "r3", "pod-b", at=6)),
    ]
    assert judge({"a": runs}, Killed({("pod-a", None): 2.5})).problems == []
    for killed in (Killed(), Killed({("pod-b", None): 4.5})):
        [problem] = judge({"a": runs}, killed).problems
        assert problem.startswith("asked 2 times for its one retry, though nobody killed it: a")


def test_retry_is_neither_an_execution_nor_an_interruption() -> None:
    retried = [record(START), record(RETRY, at=2), record(START, "r2", at=3), record(END, "r2", at=4)]
    found = judge({"a": retried}, Killed())
    assert (found.once, found.interrupted, found.problems) == (1, 0, [])


def test_dead_letter_is_expected_never_to_run_to_its_end() -> None:
    found = judge({"a": [record(START)]}, Killed(), dead={"a"})
    assert (found.dead, found.never, found.problems) == (1, 0, [])
    assert judge({"a": ONCE}, Killed(), dead={"a"}).problems != []


OK = Answer(5, 202, "id")
REFUSED = Answer(50, 503, retry_after=True, text="broker unavailable")
BARE = Answer(50, 503, text="upstream")
SLOW = Answer(50, 503, retry_after=True, seconds=8.5)
SILENT = Answer(50, 0, text="no endpoint is ready", silence="no endpoint")
CUT_OFF = Answer(50, 0, text="RemoteProtocolError", silence="cut")
HUNG = Answer(50, 0, text="ReadTimeout", seconds=15, silence="timeout")
NO_ID = Answer(50, 202, text="{}")
READ = Answer(50, 200, reads=True)
READ_REFUSED = Answer(50, 503, retry_after=True, reads=True)
UNKNOWN = Answer(50, 404, text="no task", reads=True)
BROKEN = Answer(50, 500, text="oops")
ON = [Window(45, 60)]


@pytest.mark.parametrize(
    ("answer", "windows", "refuses", "silent", "wrong"),
    [
        (OK, [], False, False, ""),
        (REFUSED, ON, True, False, ""),
        (REFUSED, ON, False, True, "1 times 503: broker"),
        (REFUSED, [Window(10, 20)], True, False, "1 times 503 when nothing was wrong"),
        (REFUSED, [Window(80, 90)], True, False, "1 times 503 when nothing was wrong"),
        (REFUSED, [Window(60, 90)], True, False, ""),  # asked before, answered after
        (BARE, ON, True, False, "1 times 503 without Retry-After"),
        (SILENT, ON, True, True, ""),
        (SLOW, ON, True, False, "1 times 503 only after more than 8 s"),
        (SILENT, ON, True, False, "1 times no answer (no endpoint): no endpoint"),
        (SILENT, [Window(10, 20)], True, True, "1 times no answer (no endpoint) when nothing was wrong"),
        (CUT_OFF, ON, True, True, ""),
        (HUNG, ON, True, True, "1 times no answer (timeout): ReadTimeout"),
        (NO_ID, ON, True, True, "1 times 202 without an id: {}"),
        (READ, [], False, False, ""),
        (READ_REFUSED, ON, True, False, ""),
        (READ_REFUSED, ON, False, True, "1 times 503 to a reader: "),
        (UNKNOWN, ON, True, True, "1 times 404 to a reader: no task"),
        (BROKEN, ON, True, True, "1 times 500: oops"),
    ],
)
def test_answers(answer: Answer, windows: list[Window], refuses: bool, silent: bool, wrong: str) -> None:
    problems = judge_answers([OK, answer], windows, refuses, silent)
    if wrong:
        assert [problem[: len(wrong)] for problem in problems] == [wrong]
    else:
        assert problems == []


def test_request_may_hang_only_where_a_fault_lets_it() -> None:
    assert judge_answers([HUNG], ON, refuses=False, silent=True, hangs=True) == []
    [problem] = judge_answers([HUNG], [Window(10, 20)], refuses=False, silent=True, hangs=True)
    assert problem.startswith("1 times no answer (timeout) when nothing was wrong")
