"""The GitHub workflows keep their rules. `make lint` checks them with zizmor and against their schema as well."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.artifacthub import SCREENSHOTS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
OURS = ("ci.yaml", "release.yaml")
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
WRITES = {
    "image": {"packages", "id-token"},
    "chart": {"packages", "id-token"},
    "release": {"contents", "id-token"},
}
"""What a job of the release may write; no other job of any workflow may write anything."""


def read(name: str) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    found: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(name)["jobs"]
    return found


def steps(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for job, about in jobs(name).items():
        for step in about.get("steps", []):
            yield job, step


def targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize("name", OURS)
def test_each_run_is_one_make_target(name: str) -> None:
    for job, step in steps(name):
        if "run" in step:
            words = step["run"].split()
            assert words[0] == "make", (job, step)
            assert words[1] in targets(), (job, step)
            assert words[2:] in ([], ['TAG="$GITHUB_REF_NAME"']), (job, step)


@pytest.mark.parametrize("name", OURS)
def test_actions_are_pinned_by_commit(name: str) -> None:
    lines = [line.strip().removeprefix("- ") for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]
    uses = [line for line in lines if line.startswith("uses: ") and "./" not in line.split()[1]]
    assert uses
    assert [line for line in uses if not PINNED.match(line)] == []


def test_an_action_has_one_commit_everywhere() -> None:
    texts = [path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml")]
    found = {pair for text in texts for pair in re.findall(r"uses: ([\w.-]+/[\w./-]+)@([0-9a-f]{40} # \S+)", text)}
    assert len({action for action, _ in found}) == len(found), sorted(found)


@pytest.mark.parametrize("name", OURS)
def test_a_job_may_do_the_least_and_ends(name: str) -> None:
    workflow = read(name)
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    for job, about in jobs(name).items():
        rights = about["permissions"]
        writes = WRITES.get(job, set()) if name == "release.yaml" else set()
        assert {right for right, level in rights.items() if level == "write"} == writes, job
        assert set(rights.values()) <= {"read", "write"}
        assert "uses" in about or about["timeout-minutes"] <= 120, job


@pytest.mark.parametrize("name", OURS)
def test_no_secret_but_the_jobs_own_token(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert set(re.findall(r"secrets\.(\w+)", text)) <= {"GITHUB_TOKEN"}
    assert "pull_request_target" not in text
    checkouts = [step for _, step in steps(name) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_nothing_is_published_before_everything_has_passed() -> None:
    found = jobs("release.yaml")

    def before(job: str) -> set[str]:
        needs = found[job].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct.union(*(before(each) for each in direct))

    for job in WRITES:
        assert before(job) >= {"check", "test", "package", "screenshots"}, job
    assert before("release") >= {"image", "chart"}
    assert found["test"]["uses"] == "./.github/workflows/ci.yaml"
    assert "workflow_call" in read("ci.yaml")["on"]
    assert read("release.yaml")["on"] == {"push": {"tags": ["v*"]}}


def test_whole_history_is_there_where_the_previous_version_is_looked_for() -> None:
    (checkout,) = (
        step for job, step in steps("ci.yaml") if job == "e2e" and step.get("uses", "").startswith("actions/checkout@")
    )
    assert checkout["with"]["fetch-depth"] == 0


def test_the_release_has_a_grafana_for_the_screenshot_that_the_chart_promises() -> None:
    assert "grafana.png" in SCREENSHOTS
    job = jobs("release.yaml")["screenshots"]
    assert job["env"]["GRAFANA_URL"] == "http://grafana:3000"
    assert re.fullmatch(r"grafana/grafana:\d+\.\d+\.\d+", job["services"]["grafana"]["image"])
