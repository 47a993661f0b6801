"""Replicas and backlog over the time of a test, for the report of one that fails."""

import threading
import time
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException


class Timeline:
    """Looks once a second at the workers of a namespace: rows of seconds, what, wanted, ready, backlog.

    The backlog is what KEDA reads, ready and unacknowledged messages together; empty where nobody can tell.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._rows: list[str] = []
        self._started = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(1):
            try:
                self._look()
            except ApiException as error:
                self._rows.append(f"{self._seconds()},{error.reason},,,")

    def _seconds(self) -> float:
        return round(time.monotonic() - self._started, 1)

    def _look(self) -> None:
        selector = "app.kubernetes.io/component=worker"
        for found in client.AppsV1Api().list_namespaced_deployment(self._namespace, label_selector=selector).items:
            assert found.metadata is not None
            assert found.spec is not None
            assert found.status is not None
            ready = found.status.ready_replicas or 0
            backlog = self._backlog(str(found.metadata.name))
            self._rows.append(f"{self._seconds()},{found.metadata.name},{found.spec.replicas},{ready},{backlog}")

    def _backlog(self, scaled_object: str) -> str:
        objects = client.CustomObjectsApi()
        try:
            found: dict[str, Any] = objects.get_namespaced_custom_object(
                "keda.sh", "v1alpha1", self._namespace, "scaledobjects", scaled_object
            )
            totals = []
            for metric in found.get("status", {}).get("externalMetricNames", []):
                answer: dict[str, Any] = objects.list_namespaced_custom_object(
                    "external.metrics.k8s.io",
                    "v1beta1",
                    self._namespace,
                    metric,
                    label_selector=f"scaledobject.keda.sh/name={scaled_object}",
                )
                totals += [str(item["value"]) for item in answer["items"]]
        except ApiException:
            return ""
        return "+".join(totals)

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join(10)

    def write(self, file: Path) -> None:
        """Write what was seen as CSV."""
        file.write_text("\n".join(["seconds,what,wanted,ready,backlog", *self._rows]) + "\n")
