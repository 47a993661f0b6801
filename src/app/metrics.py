"""What the API tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["Metrics"]


class Metrics:
    """The API's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = Counter(
            "stalk_tasks_accepted", "Tasks that the broker has confirmed.", ["queue"], registry=self.registry
        )
        self.refused = Counter(
            "stalk_tasks_refused", "Tasks refused with 503, by what was down.", ["dependency"], registry=self.registry
        )
        # At zero: Prometheus does not see the first step of a number that begins with it.
        for dependency in ("broker", "results"):
            self.refused.labels(dependency)
        self.confirm_seconds = Histogram(
            "stalk_confirm_seconds",
            "Seconds until the broker had confirmed a task.",
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )
