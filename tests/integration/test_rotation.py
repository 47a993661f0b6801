"""Changed logins on a real RabbitMQ and Redis: two are valid at a time, a third ends the first."""

from pathlib import Path

import pytest
import redis as client
from amqp.exceptions import AccessRefused

from integration.harness import Service, eventually
from integration.test_rights import LOGINS, PASSWORD, ChartRabbitMQ, channel
from local import Redis
from stalk.redis_config import redis_config

USERS = ("stalk", "stalk-even")
pytestmark = pytest.mark.timeout(240)


def login(generation: int) -> tuple[str, str]:
    return USERS[(generation - 1) % 2], f"{PASSWORD}{generation}"


class RotatedRabbitMQ(ChartRabbitMQ):
    """A node that the chart starts in a generation."""

    def rotate(self, generation: int, after: int | None = None) -> None:
        """Say what it starts with; `after` is the generation that was rolled back."""
        self.user, self.password = login(generation)
        self.logins = LOGINS | {
            "RABBITMQ_USER": self.user,
            "RABBITMQ_PASSWORD": self.password,
            "RABBITMQ_OTHER_USER": login(generation + 1)[0],
            "RABBITMQ_PREVIOUS_PASSWORD": login(generation - 1)[1] if generation > 1 else "",
            "RABBITMQ_NEXT_PASSWORD": login(after)[1] if after else "",
        }

    def takes(self) -> set[int]:
        """Return the generations whose login it takes."""
        found = set()
        for generation in range(1, 5):
            try:
                channel(self, login(generation)).connection.close()
            except AccessRefused:
                continue
            found.add(generation)
        return found


def test_broker_takes_two_generations_and_keeps_its_queues(tmp_path: Path) -> None:
    broker = RotatedRabbitMQ(tmp_path)
    for generation, after, valid in ((1, None, {1}), (2, None, {1, 2}), (3, None, {2, 3}), (2, 3, {2, 3})):
        broker.rotate(generation, after)
        with broker:
            assert broker.takes() == valid, generation
            opened = channel(broker, login(generation))
            opened.queue_declare("kept", durable=True, auto_delete=False, passive=generation > 1)
            opened.connection.close()


def test_workers_of_both_generations_go_on_over_the_brokers_restart(tmp_path: Path, redis: Redis) -> None:
    """The new one starts before the broker knows its login; the old one is in the middle of a task."""
    broker = RotatedRabbitMQ(tmp_path / "rabbitmq")
    broker.rotate(1)
    with broker:
        # A service keeps its login when the broker's changes: that is in its environment.
        logins = [dict(zip(("BROKER_USER", "BROKER_PASSWORD"), login(each), strict=True)) for each in (1, 2)]
        old = Service(tmp_path / "old", broker, redis, {"STEP_SECONDS": "2"} | logins[0])
        new = Service(tmp_path / "new", broker, redis, {"TASK_QUEUE": old.queue} | logins[1], queue=old.queue)
        for each in (old, new):
            each.folder.mkdir()
        try:
            old.api()
            old.worker()
            long_task = old.submit("long")
            old.wait_for(long_task, "PROGRESS")
            ready = new.folder / "run" / "ready"
            words = ["celery", "-A", "app.worker.celery_worker", "worker", "-Q", old.queue, "-c", "1", "-l", "INFO"]
            early = new.start("worker", *words)
            eventually(lambda: "ACCESS_REFUSED - Login was refused" in new.log("worker"), timeout=60)
            eventually(old.written_down)
            broker.stop()
            broker.rotate(2)
            broker.start()
            eventually(ready.exists, timeout=60)
            eventually(old.is_ready)
            old.wait_for(long_task, timeout=60)
            old.wait_for(old.submit("after"), timeout=60)
            assert early.poll() is None
            ended = [line for each in (old, new) for line in each.log("worker").splitlines() if "succeeded" in line]
            assert sum(long_task in line for line in ended) == 1
        finally:
            old.stop()
            new.stop()


class ChartRedis(Redis):
    """A server with the passwords that the chart's init container writes."""

    def configure(self) -> None:
        super().configure()
        file = self.folder / "redis.conf"
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("requirepass")]
        assert redis_config(str(self.folder / "auth.conf")) is None
        file.write_text("\n".join([f"include {self.folder / 'auth.conf'}", *lines]) + "\n", encoding="utf-8")


def test_redis_takes_the_passwords_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ChartRedis(tmp_path, PASSWORD)
    monkeypatch.setenv("REDIS_PASSWORD", PASSWORD)
    monkeypatch.setenv("REDIS_PREVIOUS_PASSWORD", "old one")
    monkeypatch.delenv("REDIS_NEXT_PASSWORD", raising=False)
    with server:
        for password in (PASSWORD, "old one"):
            assert client.Redis(port=server.port, password=password).set("a", 1)
            assert client.Redis(port=server.port, username="default", password=password).get("a") == b"1"
        for refused in ("another", ""):
            with pytest.raises(client.AuthenticationError):
                client.Redis(port=server.port, password=refused).get("a")
