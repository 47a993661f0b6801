"""What every benchmark on a cluster needs: a namespace that goes at the end, and an end."""

import argparse
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import client, config

from e2e.harness import Release

__all__ = ["new_release", "on_a_cluster"]


def on_a_cluster(parser: argparse.ArgumentParser, seconds: int) -> argparse.Namespace:
    """Read the arguments, connect to the cluster that KUBECONFIG names, and see to it that the whole ends in time.

    Args:
        parser: of the benchmark's arguments.
        seconds: that the whole may take; then TimeoutError is raised wherever it is.
    """
    arguments = parser.parse_args()
    if "KUBECONFIG" not in os.environ:
        parser.error("KUBECONFIG names no cluster")
    config.load_kube_config(os.environ["KUBECONFIG"])

    def too_long(*_: object) -> None:
        raise TimeoutError(f"not done within {seconds} s")

    # Both by an exception, so that the namespace goes.
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    signal.alarm(seconds)
    return arguments


@contextmanager
def new_release(name: str) -> Iterator[Release]:
    """Give a release in a namespace of its own, which admits only restricted pods, and take it away with all in it."""
    name = f"bench-{name}-{uuid.uuid4().hex[:6]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = client.V1Namespace(metadata=client.V1ObjectMeta(name=name, labels=labels))
    client.CoreV1Api().create_namespace(body)
    release = Release("stalk", name, os.environ["KUBECONFIG"])
    try:
        yield release
    finally:
        # KEDA's finalizers want their objects gone before the rest.
        release.kubectl("delete", "scaledobjects", "--all", "--wait")
        release.kubectl("delete", "namespace", name, "--wait")
