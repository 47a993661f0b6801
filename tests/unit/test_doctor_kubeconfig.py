"""The way to an API server that a kubeconfig names."""

from pathlib import Path

import pytest

from kube.release import ServedRelease
from stalk.doctor.sources import kubeconfig
from stalk.doctor.sources.kubernetes import NoCluster


def test_a_server_that_hangs_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client library asks three more times by itself, each as long as the first."""
    served = ServedRelease(tmp_path)
    served.stalled = {"secrets"}
    file = str(served.kubeconfig(tmp_path))  # the library looks at KUBECONFIG when it is imported
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", file)
    monkeypatch.setattr(kubeconfig, "SECONDS", 1)
    with served.serving():
        connection = kubeconfig.KubeConfig(None, served.namespace)
        with pytest.raises(NoCluster, match=r"gives no answer: .*timed out"):
            connection.read(f"/api/v1/namespaces/{served.namespace}/secrets/stalk", {})
        assert served.requests == ["GET"]
