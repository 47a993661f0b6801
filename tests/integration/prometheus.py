"""A real Prometheus that reads what the chart's monitors name, and loads the chart's rules."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from charting.objects import of_kind
from charting.rendering import Object
from local import free_port
from local.server import Server

__all__ = ["Prometheus", "metric_names"]

SECONDS = "1s"
"""In place of each `for` and each interval: what is tested is whether an alert fires, not when."""
SCRAPE = "2s"
"""A target of a busy machine may take more than one."""
NAME = re.compile(r"(?<![\w$\"])([a-zA-Z_:][a-zA-Z0-9_:]*)\{")


def metric_names(expr: str) -> set[str]:
    """Return the metrics that PromQL names, in the way that the chart writes it: always with matchers."""
    return set(NAME.findall(expr))


class Prometheus(Server):
    """Debian's Prometheus, with its data in a folder.

    Args:
        folder: its data.
        objects: what the chart renders.
        addresses: host and port of each Service that a ServiceMonitor reads, by the Service's name.
        listen: address that it listens on itself.
    """

    name = "prometheus"

    def __init__(
        self, folder: Path, objects: list[Object], addresses: Mapping[str, str], listen: str = "127.0.0.1"
    ) -> None:
        super().__init__(folder)
        self._objects = objects
        self._addresses = addresses
        self.url = f"http://{listen}:{free_port()}"

    def configure(self) -> None:
        """Write the configuration that the Prometheus Operator would make of the monitors and the rules."""
        groups = [group for thing in of_kind(self._objects, "PrometheusRule") for group in thing["spec"]["groups"]]
        for group in groups:
            group["interval"] = SECONDS
            for rule in group["rules"]:
                rule["for"] = SECONDS
        (self.folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
        scrapes = [scrape for monitor in of_kind(self._objects, "ServiceMonitor") for scrape in self._scrapes(monitor)]
        configuration = {
            "global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": SECONDS},
            "rule_files": [str(self.folder / "rules.yaml")],
            "scrape_configs": scrapes,
        }
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))

    def _scrapes(self, monitor: Object) -> list[dict[str, Any]]:
        service = monitor["metadata"]["name"]
        labels = {"namespace": monitor["metadata"]["namespace"], "service": service, "job": service}
        return [
            {
                "job_name": f"{service}/{number}",
                "metrics_path": endpoint["path"],
                "honor_labels": endpoint.get("honorLabels", False),
                "params": endpoint.get("params", {}),
                "static_configs": [{"targets": [self._addresses[service]], "labels": labels}],
                "relabel_configs": _snaked(endpoint.get("relabelings", [])),
                "metric_relabel_configs": _snaked(endpoint.get("metricRelabelings", [])),
            }
            for number, endpoint in enumerate(monitor["spec"]["endpoints"])
        ]

    def command(self) -> list[str]:
        """Return the words that run it."""
        program = shutil.which("prometheus")
        assert program, "prometheus needed. Type once:  sudo make test-setup"
        address = self.url.removeprefix("http://")
        files = [f"--config.file={self.folder / 'prometheus.yaml'}", f"--storage.tsdb.path={self.folder / 'data'}"]
        return [program, *files, f"--web.listen-address={address}", "--log.level=warn"]

    def ping(self) -> None:
        """Ask whether it is ready."""
        httpx.get(f"{self.url}/-/ready", timeout=5).raise_for_status()

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=10)
        assert answer.status_code == 200, f"{expr}: {answer.text}"
        return [(found["metric"], float(found["value"][1])) for found in answer.json()["data"]["result"]]

    def value(self, expr: str) -> float | None:
        """Return the value of the one series, or None where there is none."""
        found = self.query(expr)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {labels["alertname"] for labels, _ in self.query('ALERTS{alertstate="firing"}')}

    def targets(self) -> dict[str, str]:
        """Return the health of each target by its URL: `up`, `down`, or `unknown` before it was read."""
        answer = httpx.get(f"{self.url}/api/v1/targets", timeout=10).json()
        return {target["scrapeUrl"]: target["health"] for target in answer["data"]["activeTargets"]}


def _snaked(relabelings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the Operator's relabelings in Prometheus' own spelling."""
    return [
        {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name): value for name, value in one.items()}
        for one in relabelings
    ]
