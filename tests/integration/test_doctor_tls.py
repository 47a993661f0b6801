"""`stalk doctor` where broker and Redis speak TLS."""

import trustme

from integration.harness import Service
from integration.test_doctor import APP, diagnose
from integration.test_tls import over_tls

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
