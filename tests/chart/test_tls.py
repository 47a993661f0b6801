"""TLS of the bundled servers: nothing is left plain, and each client checks the server against the CA."""

from typing import Any

import pytest

from charting.objects import Pods, component, containers, find, of_kind, pods
from charting.rendering import Object, render

VALUES: dict[str, Any] = {
    "rabbitmq": {"tls": {"enabled": True, "existingSecret": "mq-tls", "certKey": "mq.crt", "keyKey": "mq.key"}},
    "redis": {"tls": {"enabled": True, "existingSecret": "redis-tls", "caKey": "root.pem"}},
    "workers": {"default": {"autoscaling": {"mode": "keda"}}},
    "beat": {"enabled": True},
}
CLIENTS = {"api", "beat", "flower", "topology", "worker"}


@pytest.fixture(scope="module")
def secured() -> list[Object]:
    return render(VALUES)


def by_component(objects: list[Object]) -> dict[str, Pods]:
    return {component(pod.owner): pod for pod in pods(objects)}


def environment(pod: Pods) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in pod.spec["containers"][0]["env"]}


def config(objects: list[Object], name: str, file: str) -> list[str]:
    return str(find(objects, "ConfigMap", f"demo-stalk-{name}")["data"][file]).splitlines()


def test_servers_have_no_plain_listener(secured: list[Object]) -> None:
    broker = config(secured, "rabbitmq", "rabbitmq.conf")
    assert {"listeners.tcp = none", "listeners.ssl.default = 5671", "management.ssl.port = 15671"} <= set(broker)
    assert not [line for line in broker if line.startswith(("listeners.tcp.default", "management.tcp"))]
    results = config(secured, "redis", "redis.conf")
    assert {"port 0", "tls-port 6379", "tls-auth-clients no"} <= set(results)
    assert "port 6379" not in results
    for thing in of_kind(secured, "Service", "NetworkPolicy", "StatefulSet", "Deployment"):
        assert "5672" not in str(thing["spec"]), thing["metadata"]["name"]


def test_files_that_a_server_names_are_mounted(secured: list[Object]) -> None:
    found = by_component(secured)
    for name, secret, keys in (
        ("rabbitmq", "mq-tls", {"tls.crt": "mq.crt", "tls.key": "mq.key", "ca.crt": "ca.crt"}),
        ("redis", "redis-tls", {"tls.crt": "tls.crt", "tls.key": "tls.key", "ca.crt": "root.pem"}),
    ):
        (volume,) = (each["secret"] for each in found[name].spec["volumes"] if each["name"] == "tls")
        assert (volume["secretName"], volume["defaultMode"]) == (secret, 0o440), "its group reads it: fsGroup"
        assert {item["path"]: item["key"] for item in volume["items"]} == keys
        server = found[name].spec["containers"][0]
        assert {"name": "tls", "mountPath": "/tls", "readOnly": True} in server["volumeMounts"]
        conf = config(secured, name, f"{name}.conf")
        words = {word.removeprefix("/tls/") for line in conf for word in line.split() if word.startswith("/tls/")}
        assert words == set(keys)


def test_every_client_checks_both_servers(secured: list[Object]) -> None:
    found = by_component(secured)
    assert set(found) >= CLIENTS
    for name in CLIENTS:
        env = environment(found[name])
        assert (env["BROKER_TLS"], env["BROKER_TLS_CA"], env["BROKER_PORT"]) == (
            "true",
            "/etc/stalk/broker-ca/ca.crt",
            "5671",
        )
        assert (env["REDIS_TLS"], env["REDIS_TLS_CA"]) == ("true", "/etc/stalk/redis-ca/root.pem")
        volumes = {each["name"]: each.get("secret", {}) for each in found[name].spec["volumes"]}
        assert [item["key"] for item in volumes["broker-ca"]["items"]] == ["ca.crt"], "never the private key"
        assert [item["key"] for item in volumes["redis-ca"]["items"]] == ["root.pem"]


def test_keda_and_flower_read_management_over_https_with_the_ca(secured: list[Object]) -> None:
    secret = find(secured, "Secret", "demo-stalk-scaler")["stringData"]
    assert (secret["host"], secret["tls"]) == ("https://demo-stalk-rabbitmq.shop.svc:15671/", "enable")
    parameters = find(secured, "TriggerAuthentication", "demo-stalk-scaler")["spec"]["secretTargetRef"]
    assert {"parameter": "ca", "name": "mq-tls", "key": "ca.crt"} in parameters
    flower = environment(by_component(secured)["flower"])
    assert flower["BROKER_MANAGEMENT_URL"] == "https://demo-stalk-rabbitmq.shop.svc:15671"


def test_redis_probes_speak_tls_and_may_be_others() -> None:
    def probes(**values: Any) -> list[Any]:
        server = by_component(render({"redis": values}))["redis"].spec["containers"][0]
        return [server[f"{kind}Probe"].get("exec", {}).get("command") for kind in ("startup", "liveness", "readiness")]

    plain = ["redis-cli", "-e", "ping"]
    assert probes() == [plain] * 3
    ours = ["redis-cli", "-e", "--tls", "--cacert", "/tls/ca.crt", "ping"]
    mine = {"exec": None, "tcpSocket": {"port": "redis"}}
    assert probes(**VALUES["redis"], probes={"liveness": mine}) == [ours, None, ours]


def test_without_tls_nothing_of_it_is_there() -> None:
    for pod in pods(render({"workers": VALUES["workers"]})):
        for container in containers(pod):
            assert not [entry["name"] for entry in container.get("env", []) if "TLS" in entry["name"]]
        assert not {"tls", "broker-ca", "redis-ca"} & {volume["name"] for volume in pod.spec.get("volumes", [])}
