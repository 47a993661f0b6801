"""Every request that a document shows is sent to the demo service, with curl, in the order of the page."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from integration.harness import Service
from snippets.blocks import Page, pages
from snippets.rules import shell_text
from snippets.shell import commands

ADDRESSES = ("http://127.0.0.1:8000", "http://localhost:8000", "http://127.0.0.1:30080")
"""Where documents say that the API is."""


def requests(page: Page) -> Iterator[list[str]]:
    for block in page.blocks:
        if "curl " in block.text and block.language in {"", "sh"}:
            found = (list(command.words) for command in commands(shell_text(block)))
            yield from (words for words in found if words[0] == "curl" and any(a in " ".join(words) for a in ADDRESSES))


PAGES = [page for page in pages().values() if list(requests(page))]


def test_there_are_some() -> None:
    assert {"README.md", "docs/quickstart.md"} <= {page.file for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.file)
def test_requests_are_answered(service: Service, page: Page) -> None:
    url = service.api()
    service.worker()
    last = ""
    for words in requests(page):
        for address in ADDRESSES:
            words = [word.replace(address, url) for word in words]  # noqa: PLW2901
        sent = [word.replace("/ID", f"/{last}") for word in words]
        done = subprocess.run(
            [*sent, "--fail-with-body", "--max-time", "60"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{sent}: {done.stdout}{done.stderr}"
        if done.stdout.startswith("{"):
            answer = json.loads(done.stdout)
            last = answer.get("id") or answer.get("process_id") or last
        elif "/events" in " ".join(sent):
            assert '"SUCCESS"' in done.stdout
