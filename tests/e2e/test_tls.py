"""TLS from end to end with a private CA: KEDA, API, workers and Flower check both servers; nothing is left plain."""

import base64
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme
from kubernetes import client

from e2e.diagnosis import diagnose, evidence, names
from e2e.harness import QUICK, Release, submit, until, wait_for_all

pytestmark = pytest.mark.timeout(480)

SERVERS = {"rabbitmq": 5671, "redis": 6379}
HELLO = {"rabbitmq": b"AMQP\x00\x00\x09\x01", "redis": b"PING\r\n"}
PLAIN = [("rabbitmq", 5672), ("rabbitmq", 15672), ("rabbitmq", 5671), ("redis", 6379)]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def make_secret(authority: trustme.CA, server: str, namespace: str) -> str:
    """Make a Secret as cert-manager does, for the names that the chart asks for."""
    issued = authority.issue_cert(f"stalk-{server}", f"stalk-{server}.{namespace}.svc")
    parts = {
        "tls.crt": b"".join(part.bytes() for part in issued.cert_chain_pems),
        "tls.key": issued.private_key_pem.bytes(),
        "ca.crt": authority.cert_pem.bytes(),
    }
    data = {name: base64.b64encode(value).decode() for name, value in parts.items()}
    name = f"{server}-tls"
    body = client.V1Secret(metadata=client.V1ObjectMeta(name=name), type="kubernetes.io/tls", data=data)
    client.CoreV1Api().create_namespaced_secret(namespace, body)
    return name


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release], authority: trustme.CA) -> Release:
    made = new_release()
    values: dict[str, Any] = {
        server: {"tls": {"enabled": True, "existingSecret": make_secret(authority, server, made.namespace)}}
        for server in SERVERS
    }
    made.install(QUICK, values)
    return made


def test_keda_reads_over_https_and_scales_from_zero_and_back(release: Release) -> None:
    until(lambda: release.condition("Ready") == "True")
    until(lambda: release.replicas() == 0)
    with release.api() as api, release.watched() as wanted:
        wait_for_all(api, [submit(api)])
        until(lambda: release.replicas() == 0)
    assert max(wanted) == 1


def test_flower_shows_worker_and_queue_lengths(release: Release) -> None:
    with release.api() as api, release.flower() as flower:
        running = submit(api)
        until(lambda: any(worker["status"] for worker in flower.get("/workers?json=1").json()["data"]))
        # Read from the management API; empty when its certificate is not trusted.
        lengths = flower.get("/api/queues/length").json()["active_queues"]
        assert [queue["name"] for queue in lengths] == ["test-queue"]
        wait_for_all(api, [running])


def test_the_doctor_gets_in_from_a_laptop_as_from_a_pod(release: Release, authority: trustme.CA) -> None:
    until(lambda: release.replicas() == 0)
    said = diagnose(release)
    assert said["findings"] == [], said
    assert said["unchecked"] == [], said
    assert set(said["ok_links"]) == {"API", "exchange", "queue", "worker", "result", "scaler", "HPA", "pods"}
    assert "logs in to stalk-rabbitmq:5671" in said["ok_links"]["API"]
    assert "Succeeded" in release.helm("test")


def test_the_doctor_says_which_certificate_is_not_trusted(release: Release, authority: trustme.CA) -> None:
    """As after a CA was changed in the Secret, and the server still shows what the old one has signed."""
    trust(release, "redis", trustme.CA())
    try:
        said = diagnose(release)
    finally:
        trust(release, "redis", authority)
    assert names(said) == {"redis-tls"}, said
    assert "the certificate is refused: " in evidence(said, "redis-tls")


def trust(release: Release, server: str, authority: trustme.CA) -> None:
    data = {"ca.crt": base64.b64encode(authority.cert_pem.bytes()).decode()}
    client.CoreV1Api().patch_namespaced_secret(f"{server}-tls", release.namespace, {"data": data})


def shaken(address: str, name: str, context: ssl.SSLContext) -> str | None:
    host, _, port = address.partition(":")
    with (
        socket.create_connection((host, int(port)), timeout=15) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured.version()


@pytest.mark.parametrize("server", SERVERS)
def test_who_has_the_ca_and_the_name_gets_in(release: Release, authority: trustme.CA, server: str) -> None:
    trusting = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with release.forwarded(f"service/stalk-{server}", SERVERS[server]) as address:
        assert shaken(address, f"stalk-{server}", trusting) in ("TLSv1.2", "TLSv1.3")
        assert shaken(address, f"stalk-{server}.{release.namespace}.svc", trusting)
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            shaken(address, "stalk-other", trusting)
        with pytest.raises(ssl.SSLCertVerificationError):
            shaken(address, f"stalk-{server}", ssl.create_default_context())


@pytest.mark.parametrize(("server", "port"), PLAIN)
def test_nothing_answers_in_plain(release: Release, server: str, port: int) -> None:
    with release.forwarded(f"pod/stalk-{server}-0", port) as address:
        host, _, local = address.partition(":")
        with socket.create_connection((host, int(local)), timeout=15) as plain:
            try:
                plain.sendall(HELLO[server])
                answer = plain.recv(64)
            except ConnectionError:
                answer = b""
    # Nothing, or a TLS alert.
    assert not answer or answer[0] == 0x15
