"""The controller that ends namespaces, on a test's own API server: Kubernetes' own, with no other beside it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kube.control_plane import ControlPlane, program

__all__ = ["PROGRAM", "controller"]

PROGRAM = "kube-controller-manager"


@contextmanager
def controller(plane: ControlPlane, folder: Path) -> Iterator[None]:
    """Run it meanwhile; its log goes to the folder."""
    words = [
        str(shutil.which(PROGRAM)),
        f"--kubeconfig={plane.kubeconfig}",
        "--controllers=namespace-controller",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    with program(folder / f"{PROGRAM}.log", words):
        yield
