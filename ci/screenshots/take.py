"""Running the service with enough to do, and taking each picture when what it shall show is there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from integration.harness import eventually
from integration.monitored import FLOWER_LOGIN, Monitored, monitored
from screenshots.grafana import Grafana, Shown, address_towards

__all__ = ["GRAFANA", "SIZE", "chromium", "take", "take_dashboard"]

GRAFANA = "grafana.png"
SIZE = {"width": 1440, "height": 900}
"""Of each picture, in pixels; the dashboard's is as high as the dashboard."""
# For ten seconds some are done, some are at work and some wait: time for a picture on a busy machine.
SETTINGS = {"STEPS": "10", "STEP_SECONDS": "1"}
QUEUE = "words"
WORKERS = 2
WORDS = ("barley", "clover", "meadow", "orchard", "saffron", "thistle")
MIXED = "['SUCCESS', 'PROGRESS', 'PENDING'].every(state => document.querySelector(`#tasks [data-status=${state}]`))"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PATIENCE = 60_000
"""Milliseconds that something may take to appear, on a busy machine."""


def take(out: Path, grafana: str = "") -> list[Path]:
    """Run the service and take the pictures.

    Args:
        out: folder; pictures of an earlier run are replaced.
        grafana: URL of a Grafana that we may write to; without, its picture is not taken.

    Returns:
        The pictures.
    """
    out.mkdir(parents=True, exist_ok=True)
    address = address_towards(grafana) if grafana else "127.0.0.1"
    with (
        TemporaryDirectory(prefix="stalk-screenshots-") as folder,
        chromium() as browser,
        monitored(Path(folder), SETTINGS, QUEUE, address) as running,
    ):
        for _ in range(WORKERS):
            running.service.worker()
        # Flower knows only what it has heard: it has to listen before the first task.
        eventually(lambda: _online(running) == WORKERS, PATIENCE / 1000, 0.5)
        taken = [_page(browser, running, out / "page.png"), *_flower(browser, running, out)]
        if grafana:
            taken.append(_grafana(browser, running, Grafana(grafana), out / GRAFANA))
    return taken


@contextmanager
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("chromium is needed. Type once:  sudo make test-setup")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program, args=FLAGS) as browser:
        yield browser


def _new(browser: Browser, login: tuple[str, str] | None = None) -> Page:
    credentials = {"username": login[0], "password": login[1]} if login else None
    page = browser.new_page(viewport=SIZE, http_credentials=credentials, color_scheme="light")  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE)
    return page


def _page(browser: Browser, running: Monitored, path: Path) -> Path:
    """Queue words, and wait until one is done, one is at work and one waits."""
    page = _new(browser)
    page.goto(running.service.url)
    for word in WORDS:
        page.get_by_label("Word").fill(word)
        page.get_by_role("button", name="Queue").click()
        expect(page.get_by_label("Word")).to_have_value("")
    tasks = page.locator("#tasks li")
    expect(tasks).to_have_count(len(WORDS))
    page.wait_for_function(MIXED)
    page.screenshot(path=path)
    if not page.evaluate(MIXED):
        raise RuntimeError(f"{path}: the tasks went on before the picture was taken")
    page.close()
    return path


def _flower(browser: Browser, running: Monitored, out: Path) -> Iterator[Path]:
    page = _new(browser, FLOWER_LOGIN)
    page.goto(f"{running.flower}/workers")
    expect(page.locator("#workers-table tbody tr")).to_have_count(WORKERS, timeout=PATIENCE)
    expect(page.locator("#workers-table")).to_contain_text("Online")
    page.screenshot(path=out / "flower-workers.png")
    yield out / "flower-workers.png"
    # The list stays as it was when it was opened.
    eventually(lambda: len(_asked(running, "/api/tasks")) == len(WORDS), PATIENCE / 1000, 0.5)
    page.goto(f"{running.flower}/tasks")
    rows = page.locator("#tasks-table tbody tr")
    expect(rows).to_have_count(len(WORDS), timeout=PATIENCE)
    expect(rows.filter(has_text="SUCCESS").first).to_be_visible()
    page.screenshot(path=out / "flower-tasks.png")
    yield out / "flower-tasks.png"
    page.close()


def _online(running: Monitored) -> int:
    return sum(worker["status"] is True for worker in _asked(running, "/workers?json=1")["data"])


def _asked(running: Monitored, path: str) -> Any:
    return httpx.get(f"{running.flower}{path}", auth=FLOWER_LOGIN, timeout=15).raise_for_status().json()


def _grafana(browser: Browser, running: Monitored, grafana: Grafana, path: Path) -> Path:
    """Let the tasks end, so that every panel has something to draw, and take the whole dashboard."""
    for word in WORDS * 3:
        running.service.submit(word)
    login = (grafana.login[0], grafana.login[1]) if grafana.login and grafana.login[0] else None
    page = _new(browser, login)
    take_dashboard(page, grafana.prepare(running.prometheus.url, running.objects, QUEUE), path)
    page.close()
    return path


def take_dashboard(page: Page, shown: Shown, path: Path) -> None:
    """Take a picture of all panels of a dashboard, when each is drawn."""
    page.set_viewport_size({"width": SIZE["width"], "height": shown.height})
    page.goto(shown.url)
    for title in shown.titles:
        expect(page.get_by_text(title, exact=True).first).to_be_visible(timeout=PATIENCE)
    page.wait_for_function("document.querySelectorAll('canvas').length >= 3")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=path, full_page=True)
