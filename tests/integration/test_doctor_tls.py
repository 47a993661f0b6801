"""`stalk doctor` where broker and Redis speak TLS: where the app is, and from a laptop, through port-forwards."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from integration.harness import Service
from integration.test_doctor import APP, Diagnosis, diagnose
from integration.test_tls import certificate, over_tls
from kube.release import ServedRelease
from local import RabbitMQ, Redis, free_port

__all__ = ["over_tls"]


def test_tls_that_differs_between_app_and_servers(over_tls: Service) -> None:
    over_tls.settings["BROKER_MANAGEMENT_URL"] = over_tls.broker.management_url
    assert over_tls.run("stalk", "topology", "-A", "app.worker.celery_app").returncode == 0
    well = diagnose(over_tls, *APP)
    assert (well.ids, well.code) == (set(), 0), well.text

    other = over_tls.folder / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    deceived = diagnose(over_tls, *APP, BROKER_TLS_CA=str(other), REDIS_TLS_CA=str(other))
    assert deceived.ids == {"broker-tls", "redis-tls"}, deceived.text
    assert deceived.evidence.count("the certificate is refused: ") == 2, deceived.text

    plain = {"BROKER_TLS_CA": "", "REDIS_TLS_CA": ""}
    unaware = diagnose(over_tls, *APP, **plain)
    assert unaware.ids == {"broker-tls", "redis-tls"}, unaware.text
    assert unaware.evidence.count("the server speaks TLS, the client does not") == 2, unaware.text


# Stands in for kubectl: the servers listen on this machine already, so a forward is only the number of a port.
KUBECTL = """#!{python}
import signal, sys
local = {ways!r}.get((sys.argv[-2], int(sys.argv[-1].removeprefix(":"))))
if local is None:
    sys.exit(f"Error from server (NotFound): {{sys.argv[-2]}} not found")
print(f"Forwarding from 127.0.0.1:{{local}} -> {{sys.argv[-1]}}", flush=True)
signal.pause()
"""
SERVERS = {"API", "exchange", "queue", "worker", "result"}
PASSWORDS = {"rabbitmq-password": "of-the-app", "rabbitmq-monitor-password": "of-the-app", "redis-password": "of-redis"}


@dataclass
class Laptop:
    """A machine with a kubeconfig, and a release whose certificates name its Services alone."""

    service: Service
    release: ServedRelease
    authority: trustme.CA

    def trust(self, server: str, authority: trustme.CA) -> None:
        """Let the Secret that the pods have the CA from hold this one."""
        self.release.named["secrets"][f"{server}-tls"] = {"authority.crt": authority.cert_pem.bytes().decode()}

    def diagnose(self) -> Diagnosis:
        return diagnose(self.service, "--namespace", self.release.namespace)


def write_kubectl(folder: Path, ways: Mapping[tuple[str, int], int]) -> None:
    folder.mkdir()
    (folder / "kubectl").write_text(KUBECTL.format(python=sys.executable, ways=dict(ways)))
    (folder / "kubectl").chmod(0o755)


class Servers(NamedTuple):
    """Both servers, where the management API speaks TLS, and who signed their certificates."""

    broker: RabbitMQ
    redis: Redis
    https: int
    authority: trustme.CA


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder, authority, https = tmp_path_factory.mktemp("servers"), trustme.CA(), free_port()
    # 127.0.0.1, where the forwards are, is in neither.
    of_broker = certificate(folder / "rabbitmq", authority, "stalk-rabbitmq", "stalk-rabbitmq.doctor-a.svc")
    of_redis = certificate(folder / "redis", authority, "stalk-redis")
    broker = RabbitMQ(folder / "rabbitmq", user="stalk", password=PASSWORDS["rabbitmq-password"], certificate=of_broker)
    broker.extra_config = [
        "management.ssl.ip = 127.0.0.1",
        f"management.ssl.port = {https}",
        f"management.ssl.cacertfile = {of_broker.ca}",
        f"management.ssl.certfile = {of_broker.chain}",
        f"management.ssl.keyfile = {of_broker.key}",
    ]
    with broker, Redis(folder / "redis", password=PASSWORDS["redis-password"], certificate=of_redis) as redis:
        settings = {"BROKER_HOST": "localhost", "BROKER_TLS_CA": str(of_broker.ca)}
        declared = Service(folder, broker, redis, settings).run("stalk", "topology", "-q", "test-queue")
        assert declared.returncode == 0, declared.stderr
        yield Servers(broker, redis, https, authority)


@pytest.fixture
def laptop(tmp_path: Path, servers: Servers) -> Iterator[Laptop]:
    (tmp_path / "service-account").mkdir()
    release = ServedRelease(tmp_path / "service-account")
    ways = {
        ("service/stalk-rabbitmq", 5671): servers.broker.port,
        ("service/stalk-rabbitmq", 15671): servers.https,
        ("service/stalk-redis", 6379): servers.redis.port,
    }
    write_kubectl(tmp_path / "bin", ways)
    settings = {
        "KUBECONFIG": str(release.kubeconfig(tmp_path)),
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        # What this machine's own environment names is none of the release's.
        "BROKER_URL": "amqp://leak:leak@leak.invalid:1/",
        "REDIS_DB": "7",
    }
    service = Service(tmp_path, servers.broker, servers.redis, settings)
    with release.serving():
        describe(release)
        made = Laptop(service, release, servers.authority)
        for server in ("rabbitmq", "redis"):
            made.trust(server, servers.authority)
        yield made


def describe(release: ServedRelease) -> None:
    """Let the recorded release speak TLS, as the chart writes it down, and have no API to ask."""
    release.objects["services"] = [
        each for each in release.objects["services"] if each["metadata"]["name"] != "stalk-api"
    ]
    release.named["configmaps"]["stalk-rabbitmq"] = {"rabbitmq.conf": "consumer_timeout = 1800000"}
    release.named["secrets"]["stalk-credentials"] = dict(PASSWORDS)
    release.named["secrets"]["stalk-scaler"] = {
        "host": "https://stalk-rabbitmq.doctor-a.svc:15671/",
        "username": "stalk",
        "tls": "enable",
    }
    password = {"valueFrom": {"secretKeyRef": {"name": "stalk-credentials", "key": "rabbitmq-password"}}}
    of_redis = {"valueFrom": {"secretKeyRef": {"name": "stalk-credentials", "key": "redis-password"}}}
    for name in ("stalk-api", "stalk-worker-default"):
        release.set_environment(
            name,
            BROKER_PORT="5671",
            BROKER_TLS="true",
            BROKER_TLS_CA="/etc/stalk/broker-ca/ca.crt",
            BROKER_USER="stalk",
            BROKER_PASSWORD=password,
            REDIS_TLS="true",
            REDIS_TLS_CA="/etc/stalk/redis-ca/ca.crt",
            REDIS_PASSWORD=of_redis,
        )
        pod = release.deployment(name)["spec"]["template"]["spec"]
        for server, folder in (("rabbitmq", "broker-ca"), ("redis", "redis-ca")):
            items = [{"key": "authority.crt", "path": "ca.crt"}]
            pod["volumes"].append({"name": folder, "secret": {"secretName": f"{server}-tls", "items": items}})
            pod["containers"][0]["volumeMounts"].append({"name": folder, "mountPath": f"/etc/stalk/{folder}"})
    parameters = {
        "host": ("stalk-scaler", "host"),
        "username": ("stalk-scaler", "username"),
        "password": ("stalk-credentials", "rabbitmq-monitor-password"),
        "tls": ("stalk-scaler", "tls"),
        "ca": ("rabbitmq-tls", "authority.crt"),
    }
    targets = [{"parameter": name, "name": secret, "key": key} for name, (secret, key) in parameters.items()]
    release.objects["triggerauthentications"] = [
        {"metadata": {"name": "stalk-scaler"}, "spec": {"secretTargetRef": targets}}
    ]
    url = "https://stalk-rabbitmq.doctor-a.svc:15671"
    release.set_environment("stalk-flower", BROKER_MANAGEMENT_URL=url)
    policies = json.dumps(release.objects["networkpolicies"])
    release.objects["networkpolicies"] = json.loads(policies.replace("5672", "5671"))


def test_from_a_laptop_certificates_are_checked_against_the_services_names(laptop: Laptop) -> None:
    well = laptop.diagnose()
    assert well.said["findings"] == [], well.text
    assert well.said["unchecked"] == [], well.text
    assert well.code == 0
    assert {"exchange", "queue", "worker", "result"} <= set(well.said["ok_links"])
    assert "stalk-rabbitmq:5671" in well.said["ok_links"]["API"]


def test_from_a_laptop_a_ca_that_is_not_theirs_is_told(laptop: Laptop) -> None:
    laptop.trust("rabbitmq", trustme.CA())
    found = laptop.diagnose()
    assert found.ids == {"broker-tls", "management-unreachable"}, found.text
    assert "the certificate is refused: " in found.evidence

    laptop.trust("rabbitmq", laptop.authority)
    laptop.trust("redis", trustme.CA())
    assert laptop.diagnose().ids == {"redis-tls"}


def test_from_a_laptop_a_certificate_for_another_name_is_told(laptop: Laptop) -> None:
    laptop.release.set_environment("stalk-api", REDIS_HOST="stalk-redis.doctor-a")
    laptop.release.set_environment("stalk-worker-default", REDIS_HOST="stalk-redis.doctor-a")
    found = laptop.diagnose()
    assert found.ids == {"redis-tls"}, found.text
    assert "Hostname mismatch" in found.evidence


def test_from_a_laptop_a_ca_that_is_missing_is_said(laptop: Laptop) -> None:
    laptop.release.named["secrets"]["redis-tls"] = {}
    found = laptop.diagnose()
    assert found.said["findings"] == [], found.text
    assert found.code == 2
    assert "Secret redis-tls has no key authority.crt" in found.said["unchecked"][-1]["why"]


@pytest.mark.parametrize(
    ("stalled", "what", "well"),
    [
        ("secrets", "broker, Redis and workers", {"pods", "scaler", "HPA"}),
        ("stalk-scaler", "the broker's management API", SERVERS),
        ("triggerauthentications", "the broker's management API", SERVERS),
        ("events", "events", SERVERS),
        ("configmaps", "ConfigMaps", SERVERS),
    ],
)
def test_from_a_laptop_what_is_never_answered_is_said_in_time(
    laptop: Laptop, stalled: str, what: str, well: set[str]
) -> None:
    laptop.release.stalled = {stalled}
    found = laptop.diagnose()
    assert found.said["seconds"] < 15, found.text
    assert found.said["findings"] == [], found.text
    assert [each["what"] for each in found.said["unchecked"]] == [what], found.text
    assert "no answer" in found.said["unchecked"][0]["why"]
    assert well <= set(found.said["ok_links"]), found.text


def test_from_a_laptop_nobody_waits_for_a_port_forward_that_hangs(laptop: Laptop) -> None:
    kubectl = laptop.service.folder / "bin" / "kubectl"
    kubectl.write_text(
        f"#!{sys.executable}\nimport signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.pause()\n"
    )
    found = laptop.diagnose()
    assert found.said["seconds"] < 15
    assert [each["what"] for each in found.said["unchecked"]] == ["broker, Redis and workers"], found.text
    assert found.said["unchecked"][0]["why"].endswith("no answer in time")


def test_from_a_laptop_status_reads_queue_lengths_over_https(laptop: Laptop) -> None:
    done = laptop.service.run("stalk", "status", "--namespace", laptop.release.namespace, "--json")
    said = json.loads(done.stdout)
    assert said["problem"] == "", said
    assert [(pool["name"], pool["ready"], pool["dead_letters"]) for pool in said["pools"]] == [("default", 0, 0)]
