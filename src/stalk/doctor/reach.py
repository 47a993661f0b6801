"""A release's servers, made reachable from a machine with a kubeconfig."""

from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from stalk.doctor.cluster import Cluster, Json, component, environment, name_of, secret_of
from stalk.doctor.findings import Unchecked
from stalk.doctor.forward import Forwards
from stalk.doctor.gather import Late, Running, start
from stalk.doctor.sources.kubernetes import Kubernetes, NoCluster
from stalk.doctor.target import Target, of_settings
from stalk.flower import FlowerSettings

__all__ = ["REACH_SECONDS", "Reach", "Secrets"]

REACH_SECONDS = 4.0
"""For Secrets and port-forwards together; what is left is for the servers."""
HTTP_PORTS = {"http": 80, "https": 443}

T = TypeVar("T")


class Secrets:
    """Reads Secrets once, and remembers what must never be printed.

    Args:
        kubernetes: where they are.
        deadline: until when they are waited for, as `time.monotonic()`.
    """

    def __init__(self, kubernetes: Kubernetes, deadline: float) -> None:
        self._kubernetes, self._deadline = kubernetes, deadline
        self._asked: dict[str, Running[dict[str, str]]] = {}
        self.values: set[str] = set()

    def ask(self, names: Iterable[str]) -> None:
        """Begin to read these, all at once."""
        for name in names:
            if name not in self._asked:
                self._asked[name] = start(self._kubernetes.secret, name)

    def __call__(self, name: str, key: str) -> str:
        """Return a value that is no secret by itself, such as a user name.

        Raises:
            LookupError: there is no such Secret, or it lacks the key.
            NoCluster: it may not be read.
            Late: there is no answer in time.
        """
        self.ask([name])
        value = _in_time(self._asked[name], self._deadline, f"Secret {name}").get(key)
        if value is None:
            raise LookupError(f"Secret {name} has no key {key}")
        return value

    def password(self, name: str, key: str) -> str:
        """Return a value that must not be printed."""
        value = self(name, key)
        self.values.add(value)
        return value


class _PodSettings(FlowerSettings):
    """A pod's settings: nothing of this machine's environment gets in."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


class Reach:
    """Makes a Deployment's environment work from here: names lead to port-forwards, CAs are files of this machine.

    Args:
        cluster: with the Deployments and Services.
        secrets: that the pods have.
        forwards: to the Services.
        triggers: the TriggerAuthentications that are being read.
        deadline: until when all of it is waited for, as `time.monotonic()`.
    """

    def __init__(
        self, cluster: Cluster, secrets: Secrets, forwards: Forwards, triggers: Running[list[Json]], deadline: float
    ) -> None:
        self._cluster, self._secrets, self._forwards, self._triggers = cluster, secrets, forwards, triggers
        self._deadline = deadline
        self._services = {name_of(each) for each in cluster.services}

    def target(self, unchecked: list[Unchecked]) -> Target:
        """Return the app of the release, reached through port-forwards.

        Args:
            unchecked: gets a line where there is no way to the management API.

        Raises:
            LookupError: a Secret is missing, or lacks a key.
            NoCluster: a Secret may not be read; or nothing is there that has a login.
            NoForward: a port-forward cannot be opened.
            Late: one of them takes too long.
            ValidationError: what a pod has in its environment is no setting.
        """
        deployment = next(
            (each for kind in ("api", "worker") for each in self._cluster.deployments if component(each) == kind), None
        )
        if deployment is None:
            raise NoCluster("the release has neither API nor workers")
        values = self._values(deployment)
        queues = sorted({queue for each in self._cluster.workers() for queue in self._cluster.queues_of(name_of(each))})
        management: Running[None] = start(self._management, values)
        amqp = 5671 if values.get("BROKER_TLS") or values.get("BROKER_TLS_CA") else 5672
        ways = [
            start(self._lead, values.get("BROKER_HOST", ""), int(values.get("BROKER_PORT") or amqp)),
            start(self._lead, values.get("REDIS_HOST", ""), int(values.get("REDIS_PORT") or 6379)),
        ]
        for way in ways:
            way.result(self._deadline + 1)
        try:
            management.result(self._deadline + 1)
        except Exception as error:
            unchecked.append(Unchecked(("scaler",), "the broker's management API", str(error)))
        settings = _PodSettings.model_validate({name.lower(): value for name, value in values.items() if value})
        return of_settings(name_of(deployment), settings, queues)

    def _values(self, deployment: Json) -> dict[str, str]:
        values = {}
        of_servers = ("BROKER_", "REDIS_", "QUEUE_", "RESULT_")
        named = {name: value for name, value in environment(deployment).items() if name.startswith(of_servers)}
        self._secrets.ask(value[0] for value in named.values() if not isinstance(value, str))
        for name, value in named.items():
            if not isinstance(value, str):
                values[name] = (self._secrets if name.endswith("_USER") else self._secrets.password)(*value)
            elif name.endswith("_TLS_CA") and value:
                values[name] = self._authority(deployment, name, value)
            else:
                values[name] = value
        return values

    def _authority(self, deployment: Json, variable: str, path: str) -> str:
        """Return a file of this machine with the CA that a pod has at this path.

        Raises:
            LookupError: it comes from something else than a Secret, or that lacks it.
            NoCluster: the Secret may not be read.
            Late: there is no answer in time.
        """
        source = secret_of(deployment, path)
        if source is None:
            raise LookupError(f"{variable}={path} of {name_of(deployment)} is in no Secret")
        file = self._forwards.folder / f"{variable.lower()}.pem"
        file.write_text(self._secrets(*source), encoding="utf-8")
        return str(file)

    def _lead(self, host: str, port: int) -> None:
        service = self._service(host)
        if service:
            self._forwards.lead(host, port, service, self._deadline)

    def _management(self, values: dict[str, str]) -> None:
        """Read where KEDA reads: that is what scaling depends on."""
        for each in _in_time(self._triggers, self._deadline, "TriggerAuthentications"):
            references = each["spec"].get("secretTargetRef") or ()
            self._secrets.ask(one["name"] for one in references)
            found = {
                one["parameter"]: (self._secrets.password if one["parameter"] == "password" else self._secrets)(
                    one["name"], one["key"]
                )
                for one in references
            }
            url = urlsplit(found.get("host", ""))
            if url.scheme not in HTTP_PORTS:
                continue
            self._lead(url.hostname or "", url.port or HTTP_PORTS[url.scheme])
            values["BROKER_MANAGEMENT_URL"] = found["host"]
            values["BROKER_MANAGEMENT_USER"] = found.get("username", "")
            values["BROKER_MANAGEMENT_PASSWORD"] = found.get("password", "")
            return

    def _service(self, host: str) -> str:
        """Return the Service of this namespace that a host name stands for, or an empty text."""
        name, _, rest = host.partition(".")
        own = not rest or rest.split(".")[0] == self._cluster.namespace
        return name if own and name in self._services else ""


def _in_time(running: Running[T], deadline: float, what: str) -> T:
    try:
        return running.result(deadline)
    except Late as error:
        raise Late(f"{what}: {error}") from None
