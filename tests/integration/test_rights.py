"""The users that the chart's RabbitMQ starts with: each does its work, and is refused the rest."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import amqp
import httpx
import pytest
from amqp.exceptions import AccessRefused
from celery import Celery

from integration.harness import BIN, Service, eventually
from local import RabbitMQ, Redis, free_port
from stalk.celery import configure
from stalk.celery.queues import dead_letter_queue_name
from stalk.rabbitmq_definitions import definitions
from stalk.settings import ConnectionSettings

APPS = Path(__file__).parent / "apps"
PASSWORD = "p@ss/w:rd#?%é+&"
MORE = "shop-[a-z]+"
VHOST = "a/b"
LOGINS = {
    "RABBITMQ_VHOST": VHOST,
    "RABBITMQ_USER": "stalk",
    "RABBITMQ_PASSWORD": PASSWORD,
    "RABBITMQ_WORKER_USER": "stalk-worker",
    "RABBITMQ_WORKER_PASSWORD": "worker",
    "RABBITMQ_WORKER_CONFIGURE": MORE,
    "RABBITMQ_SCALER_USER": "stalk-monitor",
    "RABBITMQ_SCALER_PASSWORD": "monitor",
}
WORKER = ("stalk-worker", "worker")
SCALER = ("stalk-monitor", "monitor")


class ChartRabbitMQ(RabbitMQ):
    """A node with the users that the chart's init container writes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "stalk", PASSWORD, VHOST)
        self.logins = LOGINS

    def configure(self) -> None:
        super().configure()
        (self.folder / "definitions.json").write_text(json.dumps(definitions(self.logins)), encoding="utf-8")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with ChartRabbitMQ(tmp_path_factory.mktemp("rights")) as running:
        yield running


@pytest.fixture
def sender(tmp_path: Path, broker: RabbitMQ, redis: Redis) -> Iterator[Service]:
    """Give an app of somebody's, its queues declared by the app's user, its processes with the worker's login."""
    made = Service(tmp_path, broker, redis, {"PYTHONPATH": str(APPS)})
    declared = made.run("stalk", "topology", "-A", "sender:app")
    assert declared.returncode == 0, declared.stderr
    made.settings |= {"BROKER_USER": WORKER[0], "BROKER_PASSWORD": WORKER[1]}
    yield made
    made.stop()


def start_worker(service: Service, *more: str) -> None:
    ready = service.folder / "run" / "ready"
    queues = f"{service.queue},{service.queue}-more"
    service.start("worker", "celery", "-A", "sender:app", "worker", "-Q", queues, "-c", "1", "-l", "INFO", *more)
    eventually(ready.exists)


def client(service: Service) -> Celery:
    """Return the app as the API has it."""
    settings = ConnectionSettings.model_validate(
        {
            "broker_host": "127.0.0.1",
            "broker_port": service.broker.port,
            "broker_vhost": VHOST,
            "broker_user": service.broker.user,
            "broker_password": service.broker.password,
            "redis_url": service.redis.url,
        }
    )
    return configure(Celery("client", set_as_current=False), settings, [service.queue, f"{service.queue}-more"])


def channel(broker: RabbitMQ, login: tuple[str, str]) -> amqp.Channel:
    connection = amqp.Connection(
        f"127.0.0.1:{broker.port}", userid=login[0], password=login[1], virtual_host=VHOST, read_timeout=20
    )
    connection.connect()
    return connection.channel()


def test_worker_retries_chains_and_speaks_to_others_without_one_refusal(sender: Service) -> None:
    before = sender.broker.log.stat().st_size
    start_worker(sender)
    app = client(sender)
    assert app.send_task("again").get(timeout=30) == 2
    inner = app.send_task("send", [f"{sender.queue}-more"]).get(timeout=30)
    assert app.AsyncResult(inner).get(timeout=30) == 2
    assert app.send_task("again", countdown=1).get(timeout=30) == 2
    app.send_task("revoke", ["some-id"]).get(timeout=30)
    eventually(lambda: "some-id" in sender.log("worker") or "revoked" in sender.log("worker"))
    assert app.control.ping(timeout=2)
    said = sender.broker.log.read_bytes()[before:].decode()
    assert "refused" not in said
    assert "refused" not in sender.log("worker")


def test_mingle_and_gossip_work_too(sender: Service) -> None:
    start_worker(sender, "-n", "one@%h")
    assert client(sender).send_task("again").get(timeout=30) == 2
    assert "refused" not in sender.log("worker")


def test_task_to_a_queue_that_is_not_there_fails_with_what_to_do(sender: Service) -> None:
    start_worker(sender)
    with pytest.raises(Exception, match=r"queue 'nowhere' does not exist.*topology: \{extraQueues: \[nowhere\]\}"):
        client(sender).send_task("send", ["nowhere"]).get(timeout=30)
    assert sender.processes[-1].poll() is None


def test_names_that_are_added_are_allowed(sender: Service) -> None:
    opened = channel(sender.broker, WORKER)
    opened.queue_declare("shop-own", auto_delete=False)
    opened.queue_delete("shop-own")
    with pytest.raises(AccessRefused):
        opened.queue_declare("my-shop-own")


def test_topology_of_a_worker_says_what_to_run(sender: Service) -> None:
    refused = sender.run("stalk", "topology", "--queue", "new")
    assert refused.returncode == 1
    assert "rabbitmqctl set_permissions --vhost a/b stalk-worker '.*' '.*' '.*'" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_login_that_is_refused_is_waited_for_and_then_one_line(sender: Service) -> None:
    sender.settings["BROKER_PASSWORD"] = "wrong"
    refused = sender.run("stalk", "topology", "--queue", "new", "--timeout", "1")
    assert refused.returncode == 1
    assert refused.stderr.startswith("stalk topology: no broker after 1 s: ")
    assert "ACCESS_REFUSED - Login was refused" in refused.stderr
    assert refused.stderr.count("\n") == 1


FORBIDDEN: dict[str, Callable[[amqp.Channel, str], Any]] = {
    "delete a queue": lambda opened, queue: opened.queue_delete(queue),
    "declare a queue": lambda opened, _: opened.queue_declare("mine"),
    "read a dead letter": lambda opened, queue: opened.basic_get(dead_letter_queue_name(queue)),
    "consume dead letters": lambda opened, queue: opened.basic_consume(dead_letter_queue_name(queue)),
    "purge dead letters": lambda opened, queue: opened.queue_purge(dead_letter_queue_name(queue)),
    "copy dead letters": lambda opened, _: opened.queue_bind("x.celery.pidbox", "stalk.dead-letters"),
    "purge countdowns": lambda opened, _: opened.queue_purge("celery_delayed_27"),
    "delete countdowns": lambda opened, _: opened.queue_delete("celery_delayed_27"),
    "delete the exchange": lambda opened, _: opened.exchange_delete("stalk"),
    "unbind a queue": lambda opened, queue: opened.queue_unbind(queue, "stalk", queue),
    "publish past the exchange": lambda opened, queue: publish(opened, "", queue),
    "publish a dead letter": lambda opened, queue: publish(opened, "stalk.dead-letters", queue),
}


def publish(opened: amqp.Channel, exchange: str, key: str) -> None:
    opened.basic_publish(amqp.Message("x"), exchange, key)
    opened.basic_qos(0, 1, False)  # a refusal comes with the next answer


@pytest.mark.parametrize("what", FORBIDDEN)
def test_worker_may_not(sender: Service, what: str) -> None:
    opened = channel(sender.broker, WORKER)
    with pytest.raises(AccessRefused, match=r"refused for user 'stalk-worker'"):
        FORBIDDEN[what](opened, sender.queue)
    if what not in ("declare a queue", "copy dead letters"):
        allowed = channel(sender.broker, (sender.broker.user, sender.broker.password))
        FORBIDDEN[what](allowed, f"{sender.queue}-more")
        sender.run("stalk", "topology", "-A", "sender:app")


@pytest.mark.parametrize("login", [WORKER, ("stalk", PASSWORD)], ids=["worker", "app"])
def test_nobody_but_the_scaler_gets_into_management(broker: RabbitMQ, login: tuple[str, str]) -> None:
    assert httpx.get(f"{broker.management_url}/api/whoami", auth=login).status_code == 401


SCALERS: dict[str, Callable[[amqp.Channel, str], Any]] = {
    "consume": lambda opened, queue: opened.basic_consume(queue),
    "publish": lambda opened, queue: publish(opened, "stalk", queue),
    "declare": lambda opened, queue: opened.queue_declare("mine"),
    "purge": lambda opened, queue: opened.queue_purge(queue),
}


@pytest.mark.parametrize("what", SCALERS)
def test_scaler_reads_a_length_and_no_more(sender: Service, what: str) -> None:
    client(sender).send_task("again")
    vhost, queue = quote(VHOST, safe=""), sender.queue
    api = httpx.Client(base_url=f"{sender.broker.management_url}/api", auth=SCALER)
    eventually(lambda: api.get(f"/queues/{vhost}/{queue}").json().get("messages") == 1)
    body = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    assert api.post(f"/queues/{vhost}/{queue}/get", json=body).status_code in (400, 401, 403)
    assert api.delete(f"/queues/{vhost}/{queue}").status_code in (401, 403)
    assert api.put("/users/me", json={"password": "x", "tags": "administrator"}).status_code in (401, 403)
    with pytest.raises(AccessRefused):
        SCALERS[what](channel(sender.broker, SCALER), queue)
    assert sender.ready_messages(queue) == 1


def test_service_with_a_worker_of_few_rights(tmp_path: Path, broker: RabbitMQ, redis: Redis) -> None:
    """API and Flower with the app's user: countdown, remote control and events."""
    service = Service(tmp_path / "api", broker, redis, {"STEP_SECONDS": "0.3"})
    few = {"BROKER_USER": WORKER[0], "BROKER_PASSWORD": WORKER[1], "TASK_QUEUE": service.queue, "STEP_SECONDS": "0.3"}
    worker = Service(tmp_path / "worker", broker, redis, few, queue=service.queue)
    for each in (service, worker):
        each.folder.mkdir()
    try:
        service.api()
        worker.worker()
        service.wait_for(service.submit(countdown=1))
        port = free_port()
        words = ["stalk", "flower", "-A", "app.worker.celery_worker", "--port", str(port), "--address=127.0.0.1"]
        login = {"BROKER_MANAGEMENT_USER": SCALER[0], "BROKER_MANAGEMENT_PASSWORD": SCALER[1]}
        page = {"FLOWER_USER": "user", "FLOWER_PASSWORD": "test", "BROKER_MANAGEMENT_URL": broker.management_url}
        service.start("flower", *words, env=login | page | {"PATH": f"{BIN}:{os.environ['PATH']}"})
        flower = httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=("user", "test"), timeout=20)

        def asked(path: str) -> dict[str, Any]:
            try:
                answer = flower.get(path)
            except httpx.TransportError:
                return {}
            return dict(answer.json()) if answer.status_code == 200 else {}

        eventually(lambda: asked("/api/workers?refresh=True"), timeout=60, interval=0.5)
        running = service.submit()
        service.wait_for(running, "PROGRESS")
        eventually(lambda: running in asked("/api/tasks"))
        assert any(each["name"] == service.queue for each in asked("/api/queues/length")["active_queues"])
        assert httpx.delete(f"{service.url}/tasks/{running}?terminate=true", timeout=15).status_code == 202
        service.wait_for(running, "REVOKED")
    finally:
        service.stop()
        worker.stop()


@pytest.mark.timeout(180)
def test_broker_with_earlier_users_takes_the_new_ones_when_it_starts(tmp_path: Path) -> None:
    broker = ChartRabbitMQ(tmp_path)
    earlier = definitions(LOGINS)
    for user in earlier["users"]:
        user["tags"] = ["management"] if user["name"] == "stalk" else user["tags"]
    earlier["users"] = [user for user in earlier["users"] if user["name"] != "stalk-worker"]
    earlier["permissions"] = [each for each in earlier["permissions"] if each["user"] != "stalk-worker"]
    login = ("stalk", PASSWORD)
    broker.configure()
    made, broker.configure = broker.configure, lambda: None  # type: ignore[method-assign]
    (tmp_path / "definitions.json").write_text(json.dumps(earlier), encoding="utf-8")
    with broker:
        assert httpx.get(f"{broker.management_url}/api/whoami", auth=login).json()["tags"] == ["management"]
    broker.configure = made  # type: ignore[method-assign]
    with broker:
        assert httpx.get(f"{broker.management_url}/api/whoami", auth=login).status_code == 401
        channel(broker, WORKER)
