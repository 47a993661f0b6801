"""TLS to broker and Redis with a private CA, from the API and from a worker."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from integration.harness import Service, eventually
from local import Certificate, RabbitMQ, Redis, free_port


def certificate(folder: Path, authority: trustme.CA, *names: str) -> Certificate:
    """Make the files of a server whose folder this is; `localhost` is for who waits until it serves."""
    folder.mkdir()
    made = Certificate(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    issued = authority.issue_cert("localhost", *names)
    authority.cert_pem.write_to_path(made.ca)
    issued.private_key_pem.write_to_path(made.key)
    for part in issued.cert_chain_pems:
        part.write_to_path(made.chain, append=True)
    return made


@pytest.fixture
def over_tls(tmp_path: Path) -> Iterator[Service]:
    authority = trustme.CA()
    of_broker, of_redis = (certificate(tmp_path / name, authority) for name in ("rabbitmq", "redis"))
    settings = {
        "BROKER_HOST": "localhost",
        "BROKER_TLS_CA": str(of_broker.ca),
        "REDIS_HOST": "localhost",
        "REDIS_TLS_CA": str(of_redis.ca),
    }
    with (
        RabbitMQ(tmp_path / "rabbitmq", certificate=of_broker) as broker,
        Redis(tmp_path / "redis", certificate=of_redis) as redis,
    ):
        service = Service(tmp_path, broker, redis, settings)
        yield service
        service.stop()


def test_task_runs_and_a_certificate_of_somebody_else_is_refused(over_tls: Service) -> None:
    over_tls.api()
    over_tls.worker()
    over_tls.wait_for(over_tls.submit())

    trustme.CA().cert_pem.write_to_path(over_tls.folder / "other.pem")
    other = str(over_tls.folder / "other.pem")
    port = free_port()
    words = ["hypercorn", "app.main:app", "--workers", "0", "--bind", f"127.0.0.1:{port}"]
    over_tls.start("deceived", *words, env={"BROKER_TLS_CA": other, "REDIS_TLS_CA": other})

    def said() -> dict[str, str]:
        try:
            return dict(httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).json())
        except httpx.TransportError:
            return {}

    body = eventually(said)
    assert "CERTIFICATE_VERIFY_FAILED" in body["broker"]
    assert "CERTIFICATE_VERIFY_FAILED" in body["results"]
