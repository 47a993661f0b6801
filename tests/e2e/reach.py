"""Whether one pod reaches another, and whether the cluster's network cares about NetworkPolicies at all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubernetes import client

from e2e.harness import Release, until
from e2e.programs import command
from integration.harness import eventually

__all__ = ["Prober", "is_open", "unenforced"]

PORT = 8080
CLOSED = ("refused", "timeout")
"""What a network that enforces a policy answers: some drop the packets, some reject them."""


def is_open(answer: str) -> bool:
    """Tell whether the port was reached.

    Raises:
        AssertionError: the answer says neither, such as "no route to host": that proves nothing.
    """
    assert answer == "open" or answer in CLOSED, f"cannot tell whether the port is open: {answer}"
    return answer == "open"


def unenforced(reach: Callable[[], str], deny: Callable[[], None], within: float = 30) -> str | None:
    """Return why NetworkPolicies prove nothing on this cluster, or None where they are enforced.

    Args:
        reach: connects from one pod to another, which nothing forbids yet.
        deny: forbids it.
        within: seconds that the network may take to learn of the policy.
    """
    assert is_open(reach()), "the two pods do not reach each other even without a policy"
    deny()
    try:
        eventually(lambda: not is_open(reach()), within, interval=1)
    except AssertionError as error:
        if "cannot tell" in str(error):
            raise
        return f"one pod still reached the other {within:g} s after a policy that denies it everything"
    return None


@dataclass
class Prober:
    """A pod with a Python that sleeps, to try connections from; it also listens on `PORT`.

    Args:
        release: gives kubectl; its namespace is not used.
        namespace: where the pod is.
        name: of the pod.
        image: one with python3.
        labels: of the pod.
    """

    release: Release
    namespace: str
    name: str
    image: str
    labels: Mapping[str, str]

    def start(self) -> "Prober":
        """Bring the pod up."""
        locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
        container = {
            "name": "prober",
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-m", "http.server", str(PORT), "--directory", "/tmp"],
            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
            "securityContext": locked,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "labels": dict(self.labels)},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
            },
        }
        self._kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        self._kubectl("wait", "--for=condition=Ready", f"pod/{self.name}", "--timeout=120s")
        return self

    @property
    def address(self) -> str:
        """The pod's IP."""
        pod = client.CoreV1Api().read_namespaced_pod(self.name, self.namespace)
        assert pod.status is not None
        return str(pod.status.pod_ip)

    def deny_all(self) -> None:
        """Forbid this pod every connection, in and out."""
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"deny-{self.name}"},
            "spec": {"podSelector": {"matchLabels": dict(self.labels)}, "policyTypes": ["Ingress", "Egress"]},
        }
        self._kubectl("apply", "-f", "-", stdin=json.dumps(policy))

    def reach(self, host: str, port: int = PORT) -> str:
        """Return how a TCP port answers to this pod."""
        return self._kubectl("exec", self.name, "--", *command(host, port)).strip()

    def reaches(self, host: str, port: int) -> bool:
        """Tell whether this pod reaches the port, giving a network a while to learn of a new pod and its policies."""
        return is_open(self.reach(host, port))

    def never_reaches(self, host: str, port: int) -> bool:
        """Tell whether the port gets closed to this pod, and stays so for five more attempts."""
        until(lambda: not self.reaches(host, port), 30)
        return not any(self.reaches(host, port) for _ in range(5))

    def _kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.release.run("kubectl", "-n", self.namespace, *words, stdin=stdin)
