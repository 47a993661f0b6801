"""Signals that nobody inside a pod can send: to its process 1, to a server without a shell, to the kubelet."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubernetes import client

from e2e.harness import Release, until

__all__ = ["Nodes", "NotAllowed"]

SIGNALS = (Path(__file__).parents[1] / "apps" / "signals.py").read_text(encoding="utf-8")


class NotAllowed(Exception):
    """This cluster does not let us."""


class Nodes:
    """A privileged pod on each node that needs one, in a namespace of its own beside the release's.

    It shares the node's processes and runs the image of the release's API, which has Python.
    """

    def __init__(self, release: Release) -> None:
        self._release = release
        self._namespace = f"{release.namespace}-nodes"
        self._pods: dict[str, str] = {}

    def kill(self, pod: str, pid: int = 1) -> None:
        """Send SIGKILL to the process that is `pid` inside the first container of a pod."""
        self._signals(*self._container(pod, "kill"), pid)

    @contextmanager
    def paused(self, pod: str, seconds: float) -> Iterator[None]:
        """Stop every process of a pod's first container for so long; the `with` ends when they go on."""
        until_then = time.monotonic() + seconds
        self._signals(*self._container(pod, "pause"), seconds)
        yield
        time.sleep(max(0, until_then - time.monotonic()))

    def pause_program(self, node: str, program: str, seconds: float) -> None:
        """Stop a program of the node for so long; returns at once."""
        self._signals(node, "pause-program", program, seconds)

    def _container(self, pod: str, command: str) -> tuple[str, str, str]:
        """Return the node of a pod, the command, and the id of the pod's first container."""
        found = self._release.pod(pod)
        name = found.spec.containers[0].name
        container = next(each for each in found.status.container_statuses if each.name == name)
        return str(found.spec.node_name), command, str(container.container_id).partition("://")[2]

    def _signals(self, node: str, *words: object) -> None:
        agent = self._pods.get(node) or self._start(node)
        self._pods[node] = agent
        words = ("exec", "-i", agent, "--", "python", "-", *words)
        self._release.run("kubectl", "-n", self._namespace, *map(str, words), stdin=SIGNALS)

    def _start(self, node: str) -> str:
        labels = {"pod-security.kubernetes.io/enforce": "privileged"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace, "labels": labels}}
        name = f"agent-{len(self._pods)}"
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self._namespace},
            "spec": {
                "nodeName": node,
                "hostPID": True,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "tolerations": [{"operator": "Exists"}],
                "containers": [
                    {
                        "name": "agent",
                        "image": self._release.pods("api")[0].spec.containers[0].image,
                        "command": ["sleep", "infinity"],
                        "securityContext": {"privileged": True, "runAsUser": 0},
                    }
                ],
            },
        }
        try:
            for manifest in (namespace, pod):
                self._release.run("kubectl", "apply", "-f", "-", stdin=json.dumps(manifest))
            until(lambda: self._running(name), 60)
        except AssertionError as error:
            raise NotAllowed(f"no privileged pod can run on node {node}: {str(error)[-300:]}") from error
        return name

    def _running(self, name: str) -> bool:
        status = client.CoreV1Api().read_namespaced_pod(name, self._namespace).status
        return status is not None and status.phase == "Running"

    def close(self) -> None:
        if self._pods:
            self._release.run("kubectl", "delete", "namespace", self._namespace, "--wait=false", check=False)


@contextmanager
def nodes_of(release: Release) -> Iterator[Nodes]:
    nodes = Nodes(release)
    try:
        yield nodes
    finally:
        nodes.close()
