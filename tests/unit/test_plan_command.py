"""`stalk plan` as people call it."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import yaml
from prometheus_client import generate_latest

from app.metrics import Metrics
from stalk.cli import main
from stalk.extras import install
from stalk.plan.command import QUERY

QUICK = ["--rate", "2/s", "--for", "10m", "--duration", "p50=2s,p95=8s", "--runs", "1"]


def plan(*words: str) -> int:
    return main(["plan", *words])


def test_the_cheapest_that_waits_no_longer(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(*QUICK, "--pod-cost", "0.04", "--wait-p95", "20s") == 0
    said = capsys.readouterr().out
    assert "pool default: " in said
    table, _, rest = said.partition("# values.yaml\n")
    assert len([line for line in table.splitlines() if line.startswith(">")]) == 1
    values = yaml.safe_load(rest)
    assert values["workers"]["default"]["autoscaling"].keys() >= {"min", "max", "tasksPerSlot", "pollingInterval"}


def test_json_holds_every_candidate_and_the_best_reaches_the_objective(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(*QUICK, "--pod-cost", "0.04", "--wait-p95", "20s", "--json", "--load") == 0
    told = json.loads(capsys.readouterr().out)
    found = told["pools"]["default"]
    best = found["candidates"][found["best"]]
    reaching = [each for each in found["candidates"] if each["wait_p95"] <= 20]
    assert best["wait_p95"] <= 20
    assert best["pod_hours"] <= 1.02 * min(each["pod_hours"] for each in reaching)
    assert best["cost"] == pytest.approx(best["pod_hours"] * 0.04)
    scaling = told["values"]["workers"]["default"]["autoscaling"]
    assert {key: best["pool"][key] for key in ("min", "max", "tasksPerSlot", "pollingInterval")} == {
        key: scaling[key] for key in ("min", "max", "tasksPerSlot", "pollingInterval")
    }
    assert {line["part"] for line in told["load"]} == {"RabbitMQ", "management", "Redis", "Kubernetes API"}
    assert all(each["tasks"] == best["tasks"] for each in found["candidates"])


def test_the_shortest_wait_for_a_price_and_the_cheapest_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*QUICK, "--pod-cost", "0.04", "--json"]
    assert plan(*words, "--cost") == 0
    told = json.loads(capsys.readouterr().out)["pools"]["default"]
    cheapest = told["candidates"][told["best"]]["cost"]
    assert cheapest <= 1.02 * min(each["cost"] for each in told["candidates"])
    assert plan(*words, "--cost", str(cheapest * 1.2)) == 0
    told = json.loads(capsys.readouterr().out)["pools"]["default"]
    within = [each["wait_p95"] for each in told["candidates"] if each["cost"] <= cheapest * 1.2]
    assert told["candidates"][told["best"]]["wait_p95"] == min(within)


def test_an_objective_that_nothing_reaches_fails_and_says_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(*QUICK, "--wait-p95", "1ms", "--min", "0", "--tasks-per-slot", "4") == 1
    out, err = capsys.readouterr()
    assert "# values.yaml" not in out
    assert err.startswith("stalk plan: pool default: no candidate waits at most 0.00 s at p95; the shortest wait is ")


def test_the_same_seed_the_same_plan(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for seed in ("1", "1", "2"):
        plan(*QUICK, "--as-is", "--seed", seed, "--json")
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]


def test_as_is_tries_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    plan("--burst", "60", "--duration", "2s", "--as-is", "--max", "6", "--cooldown", "15", "--json")
    (only,) = json.loads(capsys.readouterr().out)["pools"]["default"]["candidates"]
    assert (only["pool"]["max"], only["pool"]["cooldownPeriod"], only["tasks"]) == (6, 15, 60 * 20)
    assert only["pods_most"] == 6


def test_pools_of_a_file_each_with_its_own_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("workers: {mail: {queues: [mail]}, images: {queues: [images], concurrency: 4}}")
    words = ["--values", str(file), "--rate", "2/s", "--rate", "images:1/s", "--for", "5m", "--duration", "1s"]
    words += ["--duration", "images:10s", "--runs", "1"]
    assert plan(*words) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[1:3]] == ["mail", "images"]
    assert plan(*words, "--cost", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["values"]["workers"].keys() == {"mail", "images"}
    assert plan(*words, "--pool", "images", "--as-is", "--json") == 0
    alone = json.loads(capsys.readouterr().out)["pools"]
    assert plan(*words, "--json") == 0
    assert alone == {"images": json.loads(capsys.readouterr().out)["pools"]["images"]}
    assert plan(*words, "--pool", "letters") == 1
    assert "has mail, images" in capsys.readouterr().err


def test_a_behavior_that_the_file_has_is_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("workers: {a: {queues: [a], autoscaling: {behavior: {scaleDown: {selectPolicy: Disabled}}}}}")
    assert plan("--values", str(file), *QUICK, "--cost", "--behavior", "default", "--json") == 0
    scaling = json.loads(capsys.readouterr().out)["values"]["workers"]["a"]["autoscaling"]
    assert scaling["behavior"] is None


def test_the_query_asks_for_what_the_api_counts() -> None:
    metrics = Metrics()
    metrics.accepted.labels("queue").inc()
    (name,) = (word for word in QUERY.replace("(", " ").replace("[", " ").split() if word.startswith("stalk_"))
    assert f"{name}{{".encode() in generate_latest(metrics.registry)


def test_one_pool_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("workers: {a: {queues: [a]}, b: {queues: [b]}}")
    assert plan("--values", str(file), *QUICK, "--plot", "x.svg") == 1
    assert capsys.readouterr().err == "stalk plan: --plot: draws one pool; choose it with --pool\n"


def test_plot(tmp_path: Path) -> None:
    file = tmp_path / "new" / "plan.svg"
    assert plan(*QUICK, "--plot", str(file)) == 0
    assert "<svg" in file.read_text()


def test_a_task_longer_than_the_longest_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    plan("--burst", "3", "--duration", "20m", "--as-is", "--runs", "1")
    assert "more than longestTaskSeconds, 600" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no arrivals for pool default"),
        (["--rate", "2/s"], "no duration for pool default"),
        (["--rate", "2/s", "--burst", "6", "--duration", "2s"], "are given twice"),
        (["--rate", "fast", "--duration", "2s"], "--rate: 'fast' is not a rate"),
        (["--burst", "0", "--duration", "2s"], "--burst: '0' is not a number of tasks"),
        (["--burst", "6", "--duration", "2s", "--values", "no.yaml"], "no.yaml: No such file"),
        ([*QUICK, "--wait-p95", "soon"], "--wait-p95: 'soon' is not a time"),
        ([*QUICK, "--cost", "5"], "--cost: needs the price of a pod"),
        ([*QUICK, "--behavior", "wild"], "--behavior wild: is none of default, fast, thrifty, own"),
        ([*QUICK, "--statistics", "0s"], "--statistics: 0 is no interval"),
        ([*QUICK, "--for", "0s"], "--for: 0 is no time"),
        (["--prometheus", "no.json", "--duration", "2s"], "no.json: No such file"),
        (["--prometheus", "http://x", "--step", "2d", "--duration", "2s"], "--step 2d: is not a step within --last 1d"),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert plan(*words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("stalk plan: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["--min", "1,x"], ["--max", "0"], ["--pod-cost", "-1"], ["--rat", "2/s"], ["unknown"], ["--runs", "0"]]
)
def test_wrong_arguments(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        plan(*QUICK, *words)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        plan("--help")
    assert "--wait-p95" in capsys.readouterr().out


def test_a_day_of_a_million_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recorded day with a pause of two hours; how long it takes is for `make bench NAME=plan`."""
    number, concurrency, most, pause = 1_000_000, 4, 60, 2 * 3600
    at = np.sort(np.random.default_rng(0).uniform(0, 86400 - pause, number))
    at[at > 43200] += pause
    trace = tmp_path / "day.csv"
    trace.write_text("".join(f"{1.75e9 + seconds:.3f}\n" for seconds in at))
    words = ["--duration", "p50=2s,p95=8s", "--concurrency", str(concurrency), "--max", str(most), "--as-is", "--json"]
    assert plan("--trace", str(trace), *words) == 0
    (told,) = json.loads(capsys.readouterr().out)["pools"]["default"]["candidates"]
    assert told["tasks"] == number
    sigma = np.log(8 / 2) / NormalDist().inv_cdf(0.95)
    work = number * 2 * np.exp(sigma**2 / 2)
    slot_seconds = told["pod_hours"] * 3600 * concurrency
    assert told["busy"] * slot_seconds == pytest.approx(work, rel=0.02), "each task has had its time in a slot"
    assert work / concurrency / 86400 < told["pods_mean"] <= told["pods_most"] <= most
    assert 0 == told["wait_p50"] <= told["wait_p95"] <= told["wait_p99"] < told["wait_max"]
    # Who comes first after the pause waits for a look and a pod; nobody waits for much more.
    assert 5 < told["wait_max"] < 120
    assert 86400 < told["seconds"] < 86400 + 3600


def test_what_is_missing_is_named_with_the_line_to_type() -> None:
    program = "import sys; sys.modules['numpy'] = None; from stalk.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, "plan", *QUICK], text=True, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == f"stalk plan: needs numpy. Type once:  {install('plan')}\n"


def test_the_other_commands_do_not_import_it() -> None:
    program = "import sys; from stalk.cli import main; main(['probe', 'live']); print('stalk.plan' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False"


def test_idle_pods_go_first_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*QUICK, "--as-is", "--behavior", "thrifty", "--for", "1h", "--json"]
    hours = []
    for more in ([], ["--idle-first"], ["--no-idle-first"]):
        assert plan(*words, *more) == 0
        hours.append(json.loads(capsys.readouterr().out)["pools"]["default"]["candidates"][0]["pod_hours"])
    assert hours[0] == hours[1] != hours[2]
