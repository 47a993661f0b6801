"""A release's servers, made reachable from a machine with a kubeconfig."""

import time
from dataclasses import replace

from stalk.doctor.cluster import Cluster, Json, component, environment, name_of
from stalk.doctor.findings import Unchecked
from stalk.doctor.forward import Forwards
from stalk.doctor.gather import Running, start
from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster
from stalk.doctor.target import Target, of_settings
from stalk.flower import FlowerSettings

__all__ = ["FORWARD_SECONDS", "Reach", "Secrets"]

FORWARD_SECONDS = 4.0


class Secrets:
    """Reads Secrets once, and remembers what must never be printed."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes
        self._read: dict[str, dict[str, str]] = {}
        self.values: set[str] = set()

    def __call__(self, name: str, key: str) -> str:
        """Return a value that is no secret by itself, such as a user name.

        Raises:
            LookupError: there is no such Secret, or it lacks the key.
            NoCluster: it may not be read.
        """
        if name not in self._read:
            self._read[name] = self._kubernetes.secret(name)
        value = self._read[name].get(key)
        if value is None:
            raise LookupError(f"Secret {name} has no key {key}")
        return value

    def password(self, name: str, key: str) -> str:
        """Return a value that must not be printed."""
        value = self(name, key)
        self.values.add(value)
        return value


class Reach:
    """Makes of a Deployment's environment what works from here."""

    def __init__(self, cluster: Cluster, secrets: Secrets, forwards: Forwards, triggers: list[Json]) -> None:
        self._cluster, self._secrets, self._forwards, self._triggers = cluster, secrets, forwards, triggers
        self._deadline = time.monotonic() + FORWARD_SECONDS
        self._services = {name_of(each) for each in cluster.services}

    def target(self, unchecked: list[Unchecked]) -> Target:
        """Return the app of the release, reached through port-forwards."""
        deployment = next(
            (each for kind in ("api", "worker") for each in self._cluster.deployments if component(each) == kind), None
        )
        if deployment is None:
            raise NoCluster("the release has neither API nor workers")
        values = self._values(deployment)
        if values.get("BROKER_TLS") or values.get("BROKER_TLS_CA") or values.get("REDIS_TLS"):
            raise NoCluster("broker or Redis speak TLS, which ends at names that are not those of this machine")
        # What is shown is what the pods have; what is connected to is the way from here.
        shown = FlowerSettings.model_validate({name.lower(): value for name, value in values.items()})
        queues = sorted({queue for each in self._cluster.workers() for queue in self._cluster.queues_of(name_of(each))})
        facts = of_settings(name_of(deployment), shown, queues).facts
        management: Running[None] = start(self._management, values)
        ways = [
            start(self._way, values, "BROKER_HOST", "BROKER_PORT", 5672),
            start(self._way, values, "REDIS_HOST", "REDIS_PORT", 6379),
        ]
        for way in ways:
            way.result(self._deadline + 1)
        try:
            management.result(self._deadline + 1)
        except Exception as error:
            unchecked.append(Unchecked(("scaler",), "the broker's management API", str(error)))
        reached = FlowerSettings.model_validate({name.lower(): value for name, value in values.items()})
        return replace(of_settings(name_of(deployment), reached, queues), facts=facts)

    def _values(self, deployment: Json) -> dict[str, str]:
        values = {}
        for name, value in environment(deployment).items():
            if not name.startswith(("BROKER_", "REDIS_", "QUEUE_", "RESULT_")):
                continue
            if isinstance(value, str):
                values[name] = value
            else:
                values[name] = (self._secrets if name.endswith("_USER") else self._secrets.password)(*value)
        return values

    def _way(self, values: dict[str, str], host: str, port: str, default: int) -> None:
        service = self._service(values.get(host, ""))
        if service:
            local = self._forwards.open(f"service/{service}", int(values.get(port) or default), self._deadline)
            values[host], values[port] = "127.0.0.1", str(local)

    def _management(self, values: dict[str, str]) -> None:
        """Read where KEDA reads: that is what scaling depends on."""
        for each in self._triggers:
            found = {
                one["parameter"]: (self._secrets.password if one["parameter"] == "password" else self._secrets)(
                    one["name"], one["key"]
                )
                for one in (each["spec"].get("secretTargetRef") or ())
            }
            scheme, _, rest = found.get("host", "").partition("://")
            if scheme != "http":
                continue
            host, _, port = rest.partition("/")[0].partition(":")
            service = self._service(host)
            url = f"http://{rest}"
            if service:
                local = self._forwards.open(f"service/{service}", int(port or 80), self._deadline)
                url = f"http://127.0.0.1:{local}"
            values["BROKER_MANAGEMENT_URL"] = url
            values["BROKER_MANAGEMENT_USER"] = found.get("username", "")
            values["BROKER_MANAGEMENT_PASSWORD"] = found.get("password", "")
            return

    def _service(self, host: str) -> str:
        """Return the Service of this namespace that a host name stands for, or an empty text."""
        name, _, rest = host.partition(".")
        own = not rest or rest.split(".")[0] == self._cluster.namespace
        return name if own and name in self._services else ""
