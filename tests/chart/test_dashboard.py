"""The Grafana dashboard: whole, and nothing of it vanishes with the workers."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from charting.cases import EXTERNAL
from charting.objects import find, of_kind
from charting.prometheus import promtool
from charting.rendering import CHART, merged, render

ON: dict[str, Any] = {"metrics": {"enabled": True}}
VARIABLES = {"namespace": "shop", "release": "demo", "queue": "(mail|a\\\\.b)", "__rate_interval": "2m"}


def config_map(values: dict[str, Any] = ON) -> dict[str, Any]:
    return find(render(values), "ConfigMap", "demo-stalk-dashboard")


def dashboard() -> dict[str, Any]:
    (text,) = config_map()["data"].values()
    found: dict[str, Any] = json.loads(text)
    return found


def variables(values: dict[str, Any] = ON) -> dict[str, dict[str, Any]]:
    (text,) = config_map(values)["data"].values()
    return {each["name"]: each for each in json.loads(text)["templating"]["list"]}


def filled_in(text: str) -> str:
    """Return PromQL as Grafana sends it."""
    return re.sub(r"\$(\w+)", lambda match: VARIABLES[match[1]], text)


def test_grafana_finds_it_by_its_label() -> None:
    assert config_map()["metadata"]["labels"]["grafana_dashboard"] == "1"
    mine = {"labels": {"grafana_dashboard": None, "dashboards": "yes"}, "annotations": {"grafana_folder": "Celery"}}
    metadata = config_map(merged(ON, {"metrics": {"dashboard": mine}}))["metadata"]
    assert metadata["labels"]["dashboards"] == "yes"
    assert "grafana_dashboard" not in metadata["labels"]
    assert metadata["annotations"] == {"grafana_folder": "Celery"}


def test_grafana_takes_those_of_two_releases() -> None:
    found = []
    for release in ("one", "two"):
        (thing,) = (thing for thing in render(ON, release=release) if thing["metadata"]["name"].endswith("-dashboard"))
        ((name, text),) = thing["data"].items()
        found.append((name, json.loads(text)["title"], json.loads(text)["uid"]))
    assert [(name, title) for name, title, _ in found] == [
        (f"{release}-stalk.json", f"Stalk: shop/{release}") for release in ("one", "two")
    ]
    assert found[0][2] != found[1][2]
    assert all(len(uid) <= 40 for _, _, uid in found)


def test_nothing_else_of_it_is_changed() -> None:
    written = json.loads((CHART / "dashboards" / "stalk.json").read_text(encoding="utf-8"))
    own = {"title": "", "uid": "", "templating": {}}
    assert dashboard() | own == written | own
    assert [each["name"] for each in written["templating"]["list"]] == list(variables())


def test_what_it_is_about_no_series_has_to_tell() -> None:
    nothing: dict[str, Any] = {
        "metrics": {"enabled": True, "exporter": {"enabled": False}},
        "api": {"enabled": False},
        "flower": {"enabled": False},
        "topology": {"extraQueues": ["z:a"]},
        "workers": {"default": {"queues": ["mail", "a.b"]}},
    }
    found = variables(merged(EXTERNAL, nothing))
    assert not of_kind(render(merged(EXTERNAL, nothing)), "ServiceMonitor"), "nobody tells"
    assert found["datasource"]["type"] == "datasource"
    for name, query in (("namespace", "shop"), ("release", "demo"), ("queue", "a.b,mail,z:a")):
        assert (found[name]["type"], found[name]["query"]) == ("custom", query), name
        assert not {"datasource", "definition", "refresh"} & set(found[name])
    assert found["release"]["current"] == {"text": "demo", "value": "demo"}
    assert found["queue"]["includeAll"]
    assert found["queue"]["multi"]
    assert found["queue"]["current"]["value"] == "$__all"


def test_queues_that_the_chart_does_not_know_are_asked_for() -> None:
    assert variables(merged(ON, {"workers": {"default": None}}))["queue"]["type"] == "query"


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    for place in (panel["gridPos"] for panel in panels):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_panel_says_what_it_is_and_asks_the_chosen_source() -> None:
    for panel in dashboard()["panels"]:
        if panel["type"] != "row":
            assert panel["description"].endswith(".") or panel["description"].endswith(")"), panel["title"]
            assert panel["targets"], panel["title"]
            assert all(query["datasource"]["uid"] == "${datasource}" for query in panel["targets"])


def test_every_query_can_be_read_by_prometheus(tmp_path: Path) -> None:
    queries = [query["expr"] for panel in dashboard()["panels"] for query in panel.get("targets", [])]
    assert len(queries) > 20
    records = [{"record": f"query:{number}", "expr": filled_in(query)} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": records}]}))
    content, said = promtool("check", "rules", "rules.yaml", folder=tmp_path)
    assert content, said


def test_every_query_is_of_one_release_or_of_its_namespace() -> None:
    for panel in dashboard()["panels"]:
        for query in panel.get("targets", []):
            assert "$namespace" in query["expr"], panel["title"]


def test_numbers_at_the_top_are_there_when_nothing_is() -> None:
    for panel in dashboard()["panels"]:
        if panel["type"] == "stat" and panel["title"] != "Broker and results":
            assert all(query["expr"].endswith("or vector(0)") for query in panel["targets"]), panel["title"]
