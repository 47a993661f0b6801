"""Giving a Grafana our Prometheus and our dashboard, by its HTTP API."""

import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from charting.objects import of_kind
from charting.rendering import NAMESPACE, RELEASE, Object

__all__ = ["Grafana", "Shown", "address_towards"]

SOURCE = "stalk-screenshots"
UNIT = 38
"""Pixels that Grafana makes of one unit of a panel's height, with the gap below it."""
CONTROLS = 160
"""Pixels for what stands above the panels: variables, time range."""


@dataclass(frozen=True)
class Shown:
    """A dashboard in Grafana."""

    url: str
    titles: list[str]
    """Of its panels."""
    height: int
    """Pixels in which all of it is in view. Grafana draws a panel only when it comes into view."""


class Grafana:
    """A running Grafana that we may write to.

    Args:
        url: with a login where it wants one, such as http://admin:secret@127.0.0.1:3000.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.login = (parts.username, parts.password or "") if parts.username else None
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"

    def prepare(self, prometheus: str, objects: list[Object], queue: str) -> Shown:
        """Write data source and dashboard, those of an earlier run replaced.

        Args:
            prometheus: URL of ours, as Grafana reaches it.
            objects: what the chart renders; its dashboard is among them.
            queue: that the dashboard shows.

        Raises:
            httpx.HTTPError: Grafana is not there, or refuses.
        """
        with httpx.Client(base_url=self.url, auth=self.login, timeout=30) as http:
            http.get("/api/health").raise_for_status()
            http.delete(f"/api/datasources/uid/{SOURCE}")
            source: dict[str, Any] = {"name": SOURCE, "uid": SOURCE, "type": "prometheus", "access": "proxy"}
            source |= {"url": prometheus, "jsonData": {"timeInterval": "1s"}}
            http.post("/api/datasources", json=source).raise_for_status()
            dashboard = _dashboard(objects)
            http.post("/api/dashboards/db", json={"dashboard": dashboard, "overwrite": True}).raise_for_status()
        variables = {"datasource": SOURCE, "namespace": NAMESPACE, "release": RELEASE, "queue": queue}
        query = {f"var-{name}": value for name, value in variables.items()} | {"from": "now-2m", "to": "now"}
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        height = CONTROLS + UNIT * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
        url = f"{self.url}/d/{dashboard['uid']}?{urlencode(query)}&kiosk"
        return Shown(url, [panel["title"] for panel in panels], height)


def address_towards(url: str) -> str:
    """Return the address of this machine that a host reaches: 127.0.0.1 for this machine itself. Nothing is sent."""
    parts = urlsplit(url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname or "", parts.port or 80))
        return str(probe.getsockname()[0])


def _dashboard(objects: list[Object]) -> dict[str, Any]:
    (found,) = (thing for thing in of_kind(objects, "ConfigMap") if thing["metadata"]["name"].endswith("-dashboard"))
    (text,) = found["data"].values()
    dashboard: dict[str, Any] = json.loads(text)
    return dashboard
