"""The environments of API and workers, side by side: do they mean the same servers and queues?"""

from collections.abc import Iterator

from stalk.doctor.cluster import Cluster, Json, component, environment, name_of, queues_of_worker
from stalk.doctor.findings import Finding
from stalk.doctor.paste import values

__all__ = ["check"]

DEFAULTS = {"BROKER_VHOST": "/", "REDIS_DB": "0", "BROKER_HOST": "localhost", "REDIS_HOST": "localhost"}
DIFFERENT = (
    ("vhost-differs", ("BROKER_HOST", "BROKER_PORT", "BROKER_VHOST")),
    ("redis-differs", ("REDIS_HOST", "REDIS_PORT", "REDIS_DB")),
)


def check(cluster: Cluster) -> Iterator[Finding]:
    """Judge each worker pool beside the broker, and beside the API."""
    yield from _timeouts(cluster)
    api = next((each for each in cluster.deployments if component(each) == "api"), None)
    if api is None:
        return
    for worker in cluster.workers():
        for finding, names in DIFFERENT:
            for name in names:
                ours, theirs = _value(api, name), _value(worker, name)
                if ours != theirs and isinstance(ours, str) and isinstance(theirs, str):
                    yield Finding(
                        finding,
                        f"{name} is {ours or 'unset'} in {name_of(api)}, and {theirs or 'unset'} in {name_of(worker)}",
                        f"{cluster.values(name_of(worker), {'extraEnv': {name: ours}})}   # values.yaml: as the "
                        "API has it",
                    )
    sends = _value(api, "TASK_QUEUE")
    consumed = [queue for worker in cluster.workers() for queue in queues_of_worker(worker)]
    if isinstance(sends, str) and sends and sends not in consumed:
        yield Finding(
            "queue-differs",
            f"TASK_QUEUE is {sends} in {name_of(api)}; the pools consume {', '.join(consumed)}",
            f"{_with_queue(cluster, sends)}   # values.yaml",
        )


def _with_queue(cluster: Cluster, queue: str) -> str:
    """Return values that give a queue to the first pool, or to a new one where there is none."""
    for worker in cluster.workers():
        return cluster.values(name_of(worker), {"queues": [*queues_of_worker(worker), queue]})
    return values({"workers": {"default": {"queues": [queue]}}})


def _timeouts(cluster: Cluster) -> Iterator[Finding]:
    """Compare what a pool gives its tasks to end with what the broker does; no worker has to run for that."""
    if cluster.consumer_timeout is None:
        return
    timeout, where = cluster.consumer_timeout
    for worker in cluster.workers():
        seconds = _value(worker, "SHUTDOWN_SECONDS")
        if isinstance(seconds, str) and seconds.isdecimal() and int(seconds) >= timeout:
            yield Finding(
                "consumer-timeout",
                f"{name_of(worker)} lets a task run for {seconds} s after it was told to stop (SHUTDOWN_SECONDS), "
                f"consumer_timeout is {timeout:.0f} s ({where})",
                'rabbitmq: {extraConfig: ""}   # values.yaml: without one there it follows from '
                "longestTaskSeconds of the pools",
            )


def _value(deployment: Json, name: str) -> str | tuple[str, str]:
    return environment(deployment).get(name, DEFAULTS.get(name, ""))
