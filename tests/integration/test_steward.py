"""The steward hears a real worker over a real RabbitMQ, and writes to a server that behaves as the API server does."""

import os
import signal
import socket
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from integration.harness import Service, eventually
from kube.pods import WORKER, ServedPods
from stalk.rabbitmq_definitions import WORKER as WORKER_RIGHTS

SELECTOR = ",".join(f"{key}={value}" for key, value in WORKER.items())
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPods]:
    server = ServedPods(tmp_path_factory.mktemp("service-account"))
    with server.serving():
        yield server


class Stewarded:
    """A service whose only worker runs in the pod of this machine's name, with a steward."""

    def __init__(self, service: Service, api_server: ServedPods) -> None:
        self.service, self.server = service, api_server
        self.pod = socket.gethostname()
        api_server.put(self.pod)
        # A worker's heartbeat files are its pod's own, and so are the steward's.
        self.run_dir = service.folder / "steward"
        self.environment = api_server.environment | {"STALK_RUN_DIR": str(self.run_dir)}
        self.start()

    def start(self) -> None:
        self.process = self.service.start("steward", "stalk", "steward", "--selector", SELECTOR, env=self.environment)
        eventually(lambda: self.ready() or self.process.poll() is not None)
        assert self.process.poll() is None, self.service.log("steward")

    def start_elsewhere(self, queue: str) -> None:
        """Start another worker, in a pod called elsewhere."""
        words = ["celery", "-A", "app.worker.celery_worker", "worker", "-Q", queue, "-c", "1", "-n", "other@elsewhere"]
        self.service.start("other", *words, "-l", "INFO", env={"STALK_RUN_DIR": "other"})
        eventually(lambda: "ready" in self.service.log("other"))

    def ready(self) -> bool:
        return (self.run_dir / "ready").exists()

    def end(self, how: signal.Signals) -> int:
        os.kill(self.process.pid, how)
        return self.process.wait(5)


@pytest.fixture
def stewarded(service: Service, api_server: ServedPods) -> Stewarded:
    return Stewarded(service, api_server)


@pytest.mark.parametrize(
    ("service", "pool"),
    [
        ({"STEPS": "20", "STEP_SECONDS": "0.5"}, "prefork"),
        ({"STEPS": "20", "STEP_SECONDS": "0.5"}, "threads"),
        ({"STEPS": "32", "STEP_SECONDS": "0.5"}, "solo"),
    ],
    indirect=["service"],
)
def test_pod_of_a_busy_worker_costs_more(stewarded: Stewarded, pool: str) -> None:
    service, server, pod = stewarded.service, stewarded.server, stewarded.pod
    service.api()
    service.worker(1, "-P", pool)
    if pool == "solo":  # it is silent in its task; somebody else has to be heard meanwhile
        stewarded.start_elsewhere(f"{service.queue}-other")
    task = service.submit()
    service.wait_for(task, "PROGRESS")
    worth = "1" if pool == "solo" else "2"
    eventually(lambda: server.cost(pod) == worth)
    assert service.state(task)["status"] == "PROGRESS", "it was written while the task ran"
    service.wait_for(task)
    eventually(lambda: server.cost(pod) is None)
    assert server.written == [(pod, worth), (pod, None)]


@pytest.mark.parametrize("service", [{"STEPS": "20", "STEP_SECONDS": "0.5"}], indirect=True)
@pytest.mark.parametrize("cost", [None, "2"])
def test_worker_that_sends_no_heartbeats_is_left_as_it_is(stewarded: Stewarded, cost: str | None) -> None:
    """It is called neither idle nor silent, however long others are heard: all pods of its ReplicaSet are like it."""
    service, server, pod = stewarded.service, stewarded.server, stewarded.pod
    server.put(pod, cost)
    server.put("elsewhere")
    service.api()
    service.worker(1, "--without-gossip", "--without-heartbeat")
    stewarded.start_elsewhere(service.queue)
    tasks = [service.submit(), service.submit()]  # one for each: neither takes a second
    for task in tasks:
        service.wait_for(task, "PROGRESS")
    eventually(lambda: server.cost("elsewhere") == "2")
    assert server.cost(pod) == cost
    for task in tasks:
        service.wait_for(task)
    eventually(lambda: server.cost("elsewhere") is None)  # after more than SILENT_AFTER and IDLE_AFTER
    assert server.cost(pod) == cost
    assert server.written == [("elsewhere", "2"), ("elsewhere", None)]
    assert server.requests.count("PATCH") == 2


@pytest.mark.parametrize("service", [{"STEP_SECONDS": "3"}], indirect=True)
def test_broker_that_was_away_is_listened_to_again(stewarded: Stewarded) -> None:
    service, server, pod = stewarded.service, stewarded.server, stewarded.pod
    service.api()
    service.worker()
    eventually(service.written_down)
    service.broker.kill()
    try:
        eventually(lambda: not stewarded.ready())
        assert service.run("stalk", "probe", "live").returncode == 0
    finally:
        service.broker.start()
    eventually(stewarded.ready, timeout=60)
    eventually(service.is_ready)
    service.wait_for(service.submit(), "PROGRESS", timeout=60)
    eventually(lambda: server.cost(pod) == "2")
    assert stewarded.process.poll() is None


@pytest.mark.parametrize("service", [{"STEP_SECONDS": "1.5"}], indirect=True)
def test_killed_in_between_it_goes_on(stewarded: Stewarded) -> None:
    service, server, pod = stewarded.service, stewarded.server, stewarded.pod
    service.api()
    service.worker()
    task = service.submit()
    eventually(lambda: server.cost(pod) == "2")
    stewarded.end(signal.SIGKILL)
    service.wait_for(task)
    assert server.cost(pod) == "2"
    stewarded.start()
    eventually(lambda: server.cost(pod) is None)


def test_ends_at_once(stewarded: Stewarded) -> None:
    assert stewarded.end(signal.SIGTERM) == 0


def test_needs_no_right_but_its_own(stewarded: Stewarded) -> None:
    """The rights on the broker that the documentation names are enough, and each is needed."""
    service, broker = stewarded.service, stewarded.service.broker
    stewarded.end(signal.SIGTERM)
    queue = r"celeryev\.stalk-steward\..*"
    rights = {"configure": rf"^(celeryev|{queue})$", "write": f"^{queue}$", "read": rf"^(celeryev|{queue})$"}
    environment = stewarded.environment | {"BROKER_USER": "steward", "BROKER_PASSWORD": "secret", "LOG_LEVEL": "DEBUG"}

    def start(given: dict[str, str]) -> None:
        place = f"{broker.management_url}/api/permissions/{quote(broker.vhost, safe='')}/steward"
        httpx.put(place, json=given, auth=(broker.user, broker.password)).raise_for_status()
        words = ["stalk", "steward", "--selector", SELECTOR]
        stewarded.process = service.start("steward", *words, env=environment)

    user = {"password": "secret", "tags": ""}
    place = f"{broker.management_url}/api/users/steward"
    httpx.put(place, json=user, auth=(broker.user, broker.password)).raise_for_status()
    # Its own, and those that the chart gives to the workers' user, as whom it logs in.
    for enough in (rights, {right: getattr(WORKER_RIGHTS, right) for right in rights}):
        start(enough)
        eventually(stewarded.ready)
        stewarded.end(signal.SIGTERM)
        (stewarded.run_dir / "ready").unlink()
    for right in rights:
        (service.folder / "steward.log").unlink()
        start(rights | {right: "^$"})
        said = f"{right} access to"  # what it was refused
        eventually(lambda said=said: said in service.log("steward"))  # type: ignore[misc]
        assert not stewarded.ready()
        stewarded.end(signal.SIGTERM)
