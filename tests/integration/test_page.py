"""The page, in a real browser."""

import re
import shutil

from playwright.sync_api import expect, sync_playwright

from integration.harness import Service

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def test_submit_words_and_see_them_done(service: Service) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "the page is tested in Chromium: apt-get install chromium"
    url = service.api()
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=FLAGS) as browser:
        page = browser.new_page()
        page.goto(url)
        page.get_by_label("Word").fill("<b>bold</b>")
        page.get_by_label("How many tasks").fill("3")
        page.get_by_role("button", name="Queue").click()
        rows = page.locator("#tasks li")
        expect(rows).to_have_count(3)
        expect(page.locator("#ready")).to_have_text(f"3 in {service.queue}")
        service.worker()
        for number in range(3):
            expect(rows.nth(number)).to_contain_text("test task return <b>bold</b>", timeout=20_000)
            expect(rows.nth(number).locator("progress")).to_have_attribute("value", re.compile("100"))
        expect(page.locator("#ready")).to_have_text(f"0 in {service.queue}")
        service.broker.pause()
        try:
            page.get_by_label("Word").fill("lost")
            page.get_by_role("button", name="Queue").click()
            expect(page.get_by_role("alert")).to_contain_text("broker unavailable", timeout=10_000)
        finally:
            service.broker.resume()
