"""Ways from this machine to a Service in the cluster.

With kubectl, not with the Python client: that one gives a single socket for each forward, and AMQP, HTTP and Redis
clients want an address to connect to, several times over. Who has a kubeconfig has kubectl.
"""

import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from stalk.doctor.gather import Late, start
from stalk.doctor.names import Names

__all__ = ["Forwards", "NoForward"]


END_SECONDS = 1.0
"""For all kubectls to end by themselves."""


class NoForward(Exception):
    """The way could not be opened; the text says why."""


class Forwards:
    """Opens ways, and closes all of them at the end of the `with`."""

    folder: Path
    """For files that a way needs, such as a CA: gone at the end."""

    def __init__(self, context: str, namespace: str) -> None:
        self._words = ["kubectl", "--context", context, "-n", namespace, "port-forward"]
        self._processes: dict[tuple[str, int], subprocess.Popen[str]] = {}
        self._opening, self._closed = threading.Lock(), False
        self._names = Names()
        self._stack = ExitStack()

    def open(self, target: str, port: int, deadline: float) -> int:
        """Return the local port that leads to a port of `target`, such as `service/stalk-api`.

        Raises:
            NoForward: kubectl is missing, refuses, or says nothing in time.
        """
        words = [*self._words, "--address", "127.0.0.1", target, f":{port}"]
        with self._opening:
            if self._closed:  # who opens it was late, and nobody would end it
                raise NoForward(f"kubectl port-forward {target} {port}: too late")
            if (target, port) in self._processes:  # the way that was there leads nowhere any more
                _end([self._processes.pop((target, port))])
            try:
                process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            except OSError as error:
                raise NoForward(f"kubectl cannot be started ({error.strerror}); it opens the port-forwards") from error
            self._processes[target, port] = process
        assert process.stdout is not None  # noqa: S101 (asked for above)
        try:
            line = start(process.stdout.readline).result(deadline)
        except Late:
            raise NoForward(f"kubectl port-forward {target} {port}: no answer in time") from None
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise NoForward(f"kubectl port-forward {target} {port}: {line.strip() or 'ended at once'}")
        # Or kubectl stops when nobody reads what it says of each connection.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return int(found[1])

    def lead(self, host: str, port: int, service: str, deadline: float) -> None:
        """Let who connects to `host` and `port` arrive at that port of a Service.

        Raises:
            NoForward: as `open`.
        """
        self._names.lead(host, port, self.open(f"service/{service}", port, deadline))

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="stalk-doctor-")))
        self._stack.enter_context(self._names)
        return self

    def __exit__(self, *_: object) -> None:
        with self._opening:
            self._closed = True
        self._stack.close()
        _end(list(self._processes.values()))


def _end(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.terminate()
    end = time.monotonic() + END_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
