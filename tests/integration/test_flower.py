"""Flower shows the worker, to those who know the password."""

import httpx

from integration.harness import Service, eventually
from local import free_port


def test_flower_shows_the_worker_and_refuses_a_wrong_password(service: Service) -> None:
    service.worker()
    port = free_port()
    service.start(
        "flower",
        *("celery", "-A", "app.worker.celery_worker", "flower", "--address=127.0.0.1", f"--port={port}"),
        env={"FLOWER_BASIC_AUTH": "user:test"},
    )
    url = f"http://127.0.0.1:{port}"

    def workers() -> dict[str, object]:
        try:
            answer = httpx.get(f"{url}/api/workers", params={"refresh": True}, auth=("user", "test"), timeout=20)
        except httpx.TransportError:
            return {}
        return answer.json() if answer.status_code == 200 else {}

    found = eventually(workers, timeout=60, interval=0.5)
    (about,) = found.values()
    assert [queue["name"] for queue in about["active_queues"]] == [service.queue]
    assert "app.worker.celery_worker.test_celery" in about["registered"]
    assert httpx.get(f"{url}/api/workers").status_code == 401
    assert httpx.get(f"{url}/api/workers", auth=("user", "wrong")).status_code == 401
    assert httpx.get(f"{url}/healthcheck").status_code == 200
