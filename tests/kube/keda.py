"""KEDA's own operator on a test's own API server: what it writes into a status is what it writes everywhere."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

from kube.control_plane import ControlPlane, program
from local import free_port

__all__ = ["KINDS", "PROGRAM", "SPECS", "custom", "operator"]

PROGRAM = "keda"
SPECS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "chart" / "data" / "keda.json").read_text(encoding="utf-8")
)
"""The specs that the chart's tests know KEDA's kinds by."""

KINDS = ("ScaledObject", "TriggerAuthentication")
"""What the chart makes of them."""

_LOOSE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_OTHERS = (
    ("keda.sh", "ScaledJob", "Namespaced"),
    ("keda.sh", "ClusterTriggerAuthentication", "Cluster"),
    ("eventing.keda.sh", "CloudEventSource", "Namespaced"),
    ("eventing.keda.sh", "ClusterCloudEventSource", "Cluster"),
)
"""What the operator watches beside them."""


def custom(kind: str, specs: dict[str, Any] = SPECS) -> dict[str, Any]:
    """Return the CRD of one of the chart's kinds."""
    return _definition("keda.sh", kind, "Namespaced", _structural(specs[f"keda.sh/v1alpha1/{kind}"]))


def _definition(group: str, kind: str, scope: str, spec: Any) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "properties": {"spec": spec, "status": _LOOSE}}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [version],
        },
    }


def _structural(node: Any) -> Any:
    """Return a schema as a CRD may have it: what is not named there is dropped, not refused."""
    if isinstance(node, list):
        return [_structural(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "anyOf" in node and "type" not in node:
        return {"x-kubernetes-int-or-string": True}
    return {
        name: _structural(each) for name, each in node.items() if name != "additionalProperties" or each is not False
    }


@contextmanager
def operator(plane: ControlPlane, folder: Path, watch: str = "") -> Iterator[str]:
    """Run it meanwhile; give host and port of its metrics.

    Args:
        plane: has the kinds that the chart makes.
        folder: for its certificates and its log.
        watch: the namespaces that it looks at, all of them unless given.
    """
    bundle = [_definition(group, kind, scope, _LOOSE) for group, kind, scope in _OTHERS]
    plane.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": bundle}))
    folder.mkdir(exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert("keda-operator")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    metrics = f"127.0.0.1:{free_port()}"
    ports = ("health-probe-bind-address", "metrics-service-bind-address")
    words = [
        str(shutil.which(PROGRAM)),
        f"--kubeconfig={plane.kubeconfig}",
        f"--cert-dir={folder}",
        f"--ca-dir={folder}",
        "--enable-apiservice-patching=false",
        "--enable-webhook-patching=false",
        f"--metrics-bind-address={metrics}",
        *(f"--{name}=127.0.0.1:{free_port()}" for name in ports),
    ]
    where = {"POD_NAMESPACE": "keda", "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda", "WATCH_NAMESPACE": watch}
    with program(folder / "keda.log", words, where):
        yield metrics
