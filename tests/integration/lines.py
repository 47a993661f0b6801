"""The connections of workers, which a network can cut."""

from urllib.parse import quote

import httpx

from integration.harness import eventually
from local import RabbitMQ

__all__ = ["Lines"]


class Lines:
    """Those over which workers consume a queue.

    Args:
        broker: their RabbitMQ.
        queue: that they consume.
    """

    def __init__(self, broker: RabbitMQ, queue: str) -> None:
        self._management = httpx.Client(base_url=broker.management_url, auth=(broker.user, broker.password))
        # RabbitMQ tells of a consumer some seconds after it came, and of its channel after that.
        self._names = eventually(lambda: self._consuming(queue))

    def _consuming(self, queue: str) -> list[str]:
        consumers = [each for each in self._management.get("/api/consumers").json() if each["queue"]["name"] == queue]
        if not all(each["channel_details"] for each in consumers):
            return []
        return [each["channel_details"]["connection_name"] for each in consumers]

    def cut(self) -> None:
        """Close them; those that send events stay."""
        for name in self._names:
            self._management.delete(f"/api/connections/{quote(name, safe='')}").raise_for_status()
