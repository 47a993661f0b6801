"""A load on the API that lasts longer than its pods."""

import threading
import time
from contextlib import ExitStack

import httpx
from kubernetes import client

from e2e.harness import Release
from integration.harness import Background

MOST = 3000


class Endpoints:
    """The API's pods that the Service would choose from, each reached through a port-forward of its own.

    A port-forward ends with its pod, so there is one for each endpoint, and requests go round the endpoints that are
    ready at that moment, as kube-proxy sends them. All of it stays on loopback. `follow` is for a thread.
    """

    def __init__(self, release: Release) -> None:
        self._release = release
        self._addresses: dict[str, str] = {}
        self._forwards = ExitStack()

    def ready(self) -> set[str]:
        """Return the names of the pods that get requests now."""
        selector = f"kubernetes.io/service-name={self._release.fullname}-api"
        slices = client.DiscoveryV1Api().list_namespaced_endpoint_slice(
            self._release.namespace, label_selector=selector
        )
        endpoints = [each for part in slices.items for each in part.endpoints or []]
        return {
            str(each.target_ref.name)
            for each in endpoints
            if each.target_ref is not None and each.conditions is not None and each.conditions.ready
        }

    def follow(self, end: threading.Event) -> None:
        """Keep up with the pods until told to end."""
        while not end.wait(0.2):
            self.refresh()

    def refresh(self) -> None:
        """Look at the endpoints once."""
        wanted = self.ready()
        for name in wanted - self._addresses.keys():
            forward = self._release.forwarded(f"pod/{name}", 8000)
            self._addresses[name] = self._forwards.enter_context(forward)
        for name in self._addresses.keys() - wanted:
            del self._addresses[name]

    def address(self, number: int) -> str | None:
        """Return where to send request `number`, or None when no pod is ready."""
        return self.choice(number)[1]

    def choice(self, number: int) -> tuple[str, str | None]:
        """Return the pod that request `number` goes to, and its address; None when no pod is ready."""
        chosen = sorted((address, name) for name, address in self._addresses.copy().items())
        address, name = chosen[number % len(chosen)] if chosen else (None, "")
        return name, address

    def drop(self, address: str) -> None:
        """Open another port-forward to a pod whose own has ended."""
        self._addresses = {name: other for name, other in self._addresses.items() if other != address}

    def close(self) -> None:
        self._forwards.close()


class Load(Background):
    """Submits ten tasks a second, at most `MOST`."""

    def __init__(self, release: Release) -> None:
        self._endpoints = Endpoints(release)
        super().__init__(self._endpoints.follow, self._submit)
        self.accepted: list[str] = []
        self.failed: list[str] = []
        self.unavailable: list[str] = []
        """What the API itself says when broker or results are away: 503 with Retry-After, or no pod that is ready."""

    def _submit(self, end: threading.Event) -> None:
        for number in range(MOST):
            if end.wait(0.1):
                return
            address = self._endpoints.address(number)
            if address is None:
                if self.accepted:
                    self.unavailable.append("no endpoint is ready")
                continue
            started = time.monotonic()
            try:
                answer = httpx.get(f"http://{address}/load", timeout=15)
                if answer.status_code == 503 and "retry-after" in answer.headers:
                    self.unavailable.append(answer.text)
                    continue
                answer.raise_for_status()
                self.accepted.append(answer.json()["process_id"])
            except httpx.HTTPError as error:
                self.failed.append(f"{error!r} after {time.monotonic() - started:.1f} s")

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._endpoints.close()
