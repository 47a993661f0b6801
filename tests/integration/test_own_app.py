"""The app of docs/bring-your-own-app.md: the page's files and commands, on a real broker and a real Redis."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from integration.harness import Service, eventually
from snippets.blocks import Page, pages
from snippets.shell import Command, commands

SEND = "import json, shop.orders\nprint(json.dumps(shop.orders.confirm('a@example.org')))"
RESULTS = (
    "import json, sys\n"
    "from shop.celery import app\n"
    "print(json.dumps([app.AsyncResult(task_id).result for task_id in sys.argv[1:]]))"
)


@pytest.fixture
def page() -> Page:
    return pages()["docs/bring-your-own-app.md"]


@pytest.fixture
def typed(page: Page) -> list[Command]:
    """Return what the page has one type on one's own machine."""
    (block,) = (block for block in page.blocks if block.language == "sh" and "stalk topology" in block.text)
    return commands(block.text)


@pytest.fixture
def shop(service: Service, page: Page, typed: list[Command]) -> Service:
    """Give the page's files in a folder, and its two variables, which name this test's servers instead."""
    for name, text in page.files.items():
        if name.endswith(".py"):
            (service.folder / name).parent.mkdir(exist_ok=True)
            (service.folder / name).write_text(text, encoding="utf-8")
    exported = {word.partition("=")[0] for word in typed[0].words[1:]}
    broker, redis = service.broker, service.redis
    login, vhost = f"{broker.user}:{quote(broker.password, '')}", quote(broker.vhost, "")
    urls = {
        "BROKER_URL": f"amqp://{login}@127.0.0.1:{broker.port}/{vhost}",
        "REDIS_URL": f"redis://:{quote(redis.password or '', '')}@127.0.0.1:{redis.port}/0",
    }
    assert typed[0].words[0] == "export"
    assert exported == urls.keys()
    service.settings |= urls | {"PYTHONPATH": str(service.folder)}
    return service


def python(shop: Service, *words: str) -> Any:
    """Run a program beside the app, and return what it prints as JSON."""
    done = shop.run("python", "-c", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_page(shop: Service, typed: list[Command]) -> None:
    topology, worker = typed[1:]
    declared = shop.run(*topology.words)
    assert declared.returncode == 0, declared.stderr
    ids = python(shop, SEND)
    assert [shop.ready_messages(queue) for queue in ("mail", "images")] == [1, 1]

    shop.start("worker", *worker.words)
    wanted = ["sent to a@example.org", "order.png is 200 wide"]
    eventually(lambda: python(shop, RESULTS, *ids) == wanted, timeout=60)
