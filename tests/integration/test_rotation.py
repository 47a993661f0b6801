"""Changed logins on a real RabbitMQ and Redis: two are valid at a time, a third ends the first."""

from pathlib import Path

import pytest
import redis
from amqp.exceptions import AccessRefused

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
            assert redis.Redis(port=server.port, password=password).set("a", 1)
            assert redis.Redis(port=server.port, username="default", password=password).get("a") == b"1"
        for refused in ("another", ""):
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(port=server.port, password=refused).get("a")
