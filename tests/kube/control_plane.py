"""A Kubernetes API server of a test's own: real etcd and kube-apiserver, and nothing that acts on what they hold.

So a test may leave a cluster without KEDA, or with an old one, and say itself who may do what. Nobody else is harmed.
"""

import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local import free_port

__all__ = ["ControlPlane", "missing", "program", "running"]

PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
TOKEN = "the-administrator"
START_SECONDS = 120


def missing(*more: str) -> str | None:
    """Return why none can be started here, or one of these programs beside it; None where all can.

    In CI it fails the test instead: there nobody reads what was skipped.
    """
    lacking = [name for name in (*PROGRAMS, *more) if shutil.which(name) is None]
    if not lacking:
        return None
    reason = f"not on PATH: {', '.join(lacking)}; ci/kind/programs brings them into .stalk/bin from a kind cluster"
    if os.environ.get("CI"):
        pytest.fail(reason)
    return reason


@dataclass(frozen=True)
class ControlPlane:
    """One that runs, with a kubeconfig of its administrator."""

    kubeconfig: Path
    port: int
    authority: Path

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator; return what it printed."""
        return self.run("kubectl", *words, stdin=stdin, check=check)

    def run(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Run a command on this API server; return what it printed."""
        done = subprocess.run(
            words, env=self.environment, input=stdin, text=True, capture_output=True, timeout=120, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self.kubeconfig)}

    def pod_environment(self, folder: Path, namespace: str, service_account: str) -> dict[str, str]:
        """Give a folder what a pod of a service account has, and return the variables that such a pod has."""
        token = self.kubectl("create", "token", service_account, "-n", namespace)
        for name, text in (("token", token), ("namespace", namespace), ("ca.crt", self.authority.read_text())):
            (folder / name).write_text(text)
        return {
            "STALK_SERVICE_ACCOUNT_DIR": str(folder),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.port),
        }


@contextmanager
def running(folder: Path) -> Iterator[ControlPlane]:
    """Run one, with all that it keeps in `folder`."""
    clients, peers, port = free_port(), free_port(), free_port()
    _write_keys(folder)
    with (
        program(folder / "etcd.log", _etcd(folder, clients, peers)) as etcd,
        program(folder / "kube-apiserver.log", _kube_apiserver(folder, clients, port)) as server,
    ):
        made = ControlPlane(_write_kubeconfig(folder, port), port, folder / "ca.crt")
        context = ssl.create_default_context(cafile=made.authority)
        headers = {"Authorization": f"Bearer {TOKEN}"}

        def ready() -> bool:
            for name, process in (("etcd", etcd), ("kube-apiserver", server)):
                assert process.poll() is None, (folder / f"{name}.log").read_text()[-3000:]
            try:
                answer = httpx.get(f"https://127.0.0.1:{port}/readyz", verify=context, headers=headers, timeout=5)
            except httpx.TransportError:
                return False
            return answer.status_code == 200

        _await(ready)
        yield made


def _await(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        assert time.monotonic() < deadline, f"the API server was not ready within {START_SECONDS} s"
        time.sleep(0.3)


def _write_keys(folder: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    issued.private_key_pem.write_to_path(folder / "server.key")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "server.crt", append=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    (folder / "sa.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "sa.pub").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, public))
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')


def _write_kubeconfig(folder: Path, port: int) -> Path:
    file = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "own",
                "cluster": {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(folder / "ca.crt")},
            }
        ],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": "admin"}}],
        "current-context": "own",
    }
    file.write_text(json.dumps(config))
    return file


def _etcd(folder: Path, clients: int, peers: int) -> list[str]:
    url, peer = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    return _words(
        "etcd",
        {
            "data-dir": str(folder / "etcd"),
            "listen-client-urls": url,
            "advertise-client-urls": url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "unsafe-no-fsync": "true",
        },
    )


def _kube_apiserver(folder: Path, clients: int, port: int) -> list[str]:
    return _words(
        "kube-apiserver",
        {
            "etcd-servers": f"http://127.0.0.1:{clients}",
            "bind-address": "127.0.0.1",
            "secure-port": str(port),
            "cert-dir": str(folder),
            "tls-cert-file": str(folder / "server.crt"),
            "tls-private-key-file": str(folder / "server.key"),
            "token-auth-file": str(folder / "tokens.csv"),
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(folder / "sa.pub"),
            "service-account-signing-key-file": str(folder / "sa.key"),
            "service-cluster-ip-range": "10.97.0.0/16",
            # Without a controller nobody makes the `default` service account that this admission asks for.
            "disable-admission-plugins": "ServiceAccount",
        },
    )


def _words(program: str, options: Mapping[str, str]) -> list[str]:
    return [str(shutil.which(program)), *(f"--{name}={value}" for name, value in options.items())]


@contextmanager
def program(
    log: Path, words: list[str], environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program meanwhile, with these variables beside ours; what it prints goes to a file."""
    env = os.environ | dict(environment or {})
    with log.open("ab") as output, subprocess.Popen(words, env=env, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
