"""`make screenshots`: real pictures of a real service, and loud words where one is missing."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from charting.rendering import render
from release.artifacthub import SCREENSHOTS
from screenshots.grafana import SOURCE, Grafana, Shown, address_towards
from screenshots.take import GRAFANA, SIZE, chromium, take_dashboard

ROOT = Path(__file__).parents[2]


def colours(path: Path) -> list[int]:
    """Return how many pixels have each colour, most first."""
    with Image.open(path) as image:
        assert image.size == (SIZE["width"], SIZE["height"])
        counted = image.convert("RGB").getcolors(maxcolors=image.width * image.height)
    assert counted is not None
    return sorted((number for number, _ in counted), reverse=True)


@pytest.mark.timeout(300)
def test_pictures_are_taken_of_a_service_at_work(tmp_path: Path) -> None:
    """What is on each was asserted in the browser; here, that the files are pictures of it."""
    environment = {name: value for name, value in os.environ.items() if name != "GRAFANA_URL"}
    words = [sys.executable, str(ROOT / "ci" / "screenshots"), "--out", str(tmp_path), "--without-grafana"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    expected = set(SCREENSHOTS) - {GRAFANA}
    assert {Path(line).name for line in done.stdout.split()} == {path.name for path in tmp_path.iterdir()} == expected
    for name in expected:
        found = colours(tmp_path / name)
        assert len(found) > 50, f"{name} has no text"
        assert found[0] < 0.97 * sum(found), f"{name} is blank"
    assert f"NOT TAKEN: {GRAFANA}" in done.stderr


def test_a_blank_picture_would_be_seen(tmp_path: Path) -> None:
    Image.new("RGB", (SIZE["width"], SIZE["height"]), "white").save(tmp_path / "blank.png")
    assert len(colours(tmp_path / "blank.png")) == 1


def test_without_a_grafana_the_exit_code_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import screenshots.__main__ as program

    monkeypatch.delenv("GRAFANA_URL", raising=False)
    asked: list[str] = []

    def without_it(out: Path, grafana: str) -> list[Path]:
        asked.append(grafana)
        return [out / name for name in SCREENSHOTS if name != GRAFANA or grafana]

    monkeypatch.setattr(program, "take", without_it)
    said = program.main(["--out", str(tmp_path)])
    assert said is not None
    assert said.startswith(f"NOT TAKEN: {GRAFANA}: GRAFANA_URL names no Grafana")
    monkeypatch.setenv("GRAFANA_URL", "http://grafana:3000")
    assert program.main(["--out", str(tmp_path)]) is None
    assert program.main(["--out", str(tmp_path), "--without-grafana"]) is None
    assert asked == ["", "http://grafana:3000", ""]


Request = tuple[str, str, str, Any]


@pytest.fixture
def recorded() -> Iterator[tuple[str, list[Request]]]:
    """A server that writes down what it is asked: no Grafana, only what we say to one."""
    requests: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            login = self.headers.get("Authorization", "")
            requests.append((self.command, self.path, login, json.loads(body) if body else None))
            self.send_response(404 if self.command == "DELETE" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 (the library's names)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_grafana_is_given_our_prometheus_and_our_dashboard(recorded: tuple[str, list[Request]]) -> None:
    address, requests = recorded
    objects = render({"metrics": {"enabled": True}})
    shown = Grafana(f"http://admin:pw@{address}/sub/").prepare("http://127.0.0.1:9090", objects, "words")
    url = shown.url
    assert [(method, path) for method, path, _, _ in requests] == [
        ("GET", "/sub/api/health"),
        ("DELETE", f"/sub/api/datasources/uid/{SOURCE}"),
        ("POST", "/sub/api/datasources"),
        ("POST", "/sub/api/dashboards/db"),
    ]
    assert {login for _, _, login, _ in requests} == {"Basic YWRtaW46cHc="}
    source, written = requests[2][3], requests[3][3]
    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9090")
    assert written["overwrite"] is True
    variables = {each["name"] for each in written["dashboard"]["templating"]["list"]}
    assert url.startswith(f"http://{address}/sub/d/{written['dashboard']['uid']}?")
    assert all(f"var-{name}=" in url for name in variables)
    assert "admin" not in url
    panels = written["dashboard"]["panels"]
    assert set(shown.titles) == {
        panel["title"] for panel in panels if panel["type"] == "timeseries" or "targets" in panel
    }
    assert shown.height > 38 * max(panel["gridPos"]["y"] for panel in panels)


LAZY = """<style>body {{margin: 0}} div {{height: 300px}}</style>{panels}<script>
const watching = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(entry => {{
  watching.unobserve(entry.target);
  setTimeout(() => {{
    entry.target.innerHTML = `${{entry.target.id}}<canvas></canvas>`;
    entry.target.style.background = 'rgb(255, 0, 0)';
  }}, 200);
}}));
document.querySelectorAll('div').forEach(panel => watching.observe(panel));
</script>"""
"""A page that draws a panel when it has come into view, and a while later, as Grafana does."""


def test_panels_below_the_fold_are_drawn(tmp_path: Path) -> None:
    titles = [f"panel {number}" for number in range(12)]
    panels = "".join(f'<div id="{title}"></div>' for title in titles)
    (tmp_path / "page.html").write_text(LAZY.format(panels=panels))
    shown = Shown((tmp_path / "page.html").as_uri(), titles, 300 * len(titles))
    with chromium() as browser:
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        take_dashboard(page, shown, tmp_path / "dashboard.png")
    with Image.open(tmp_path / "dashboard.png") as image:
        assert image.size == (SIZE["width"], 300 * len(titles))
        column = [image.convert("RGB").getpixel((1000, 300 * index + 250)) for index in range(len(titles))]
    assert column == [(255, 0, 0)] * len(titles)


def test_a_grafana_on_this_machine_reads_a_prometheus_on_loopback() -> None:
    assert address_towards("http://localhost:3000") == "127.0.0.1"
    assert address_towards("http://127.0.0.2:3000") == "127.0.0.1"
