"""Reading the ledger out of the release's Redis."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial

from redis import Redis
from redis.exceptions import RedisError

from app.ledger import Record, ledger_key
from e2e.harness import Release, until

__all__ = ["Ledger"]

CHUNK = 500
AWAY_SECONDS = 240


class Ledger:
    """The records of tasks, read through a port-forward that is opened again when Redis's pod was another one."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._stack = ExitStack()
        self._client: Redis | None = None

    def read(self, ids: Iterable[str]) -> dict[str, Sequence[Record]]:
        """Return the records of each id, none for one that nothing is known of; waits for Redis."""
        wanted = list(ids)
        found: dict[str, Sequence[Record]] = {}
        for start in range(0, len(wanted), CHUNK):
            part = wanted[start : start + CHUNK]
            lists = until(partial(self._lists, part), AWAY_SECONDS)
            for task_id, texts in zip(part, lists, strict=True):
                found[task_id] = [Record.decode(text) for text in texts]
        return found

    def _lists(self, ids: list[str]) -> list[list[bytes]] | None:
        try:
            pipeline = self._connected().pipeline(transaction=False)
            for task_id in ids:
                pipeline.lrange(ledger_key(task_id), 0, -1)
            return pipeline.execute()
        except (RedisError, OSError, AssertionError):
            self.close()
            return None

    def _connected(self) -> Redis:
        if self._client is None:
            address = self._stack.enter_context(self._release.forwarded(f"pod/{self._release.fullname}-redis-0", 6379))
            host, port = address.split(":")
            password = self._release.secret("redis-password")
            self._client = Redis(host, int(port), password=password, socket_timeout=10, socket_connect_timeout=5)
            self._stack.callback(self._client.close)
        return self._client

    def close(self) -> None:
        self._client = None
        self._stack.close()
        self._stack = ExitStack()
