"""What the two servers share: start, stop, crash, freeze, and start again with the same data on the same ports."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from local.processes import MARK, end, marked

__all__ = ["Server"]


class Server(ABC):
    """A server whose data, configuration and log are in one folder. As a context manager it runs."""

    name: str
    start_seconds: float = 120
    """How long a start may take on a busy machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def configure(self) -> None:
        """Write the configuration."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the words that run the server in the foreground."""

    @abstractmethod
    def ping(self) -> None:
        """Log in.

        Raises:
            Exception: the server does not serve yet.
        """

    def environment(self) -> dict[str, str]:
        """Return the environment of the server; the mark lets `local.processes` find it."""
        return os.environ | {MARK: str(self.folder)}

    @property
    def log(self) -> Path:
        """The file that a started server's output goes to."""
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        """Start, and return when a client can log in.

        Raises:
            RuntimeError: it ended, or did not serve in time; the text ends with its log.
        """
        self.configure()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + self.start_seconds
        while True:
            try:
                return self.ping()
            except Exception as error:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    self.kill()
                    why = "ended" if ended else f"did not serve within {self.start_seconds:g} s ({error})"
                    said = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
                    raise RuntimeError(f"{self.name} {why}; its log ends:\n{said}") from error
                time.sleep(0.1)

    def stop(self) -> None:
        """End in order."""
        self._end(grace=30)

    def kill(self) -> None:
        """Crash: SIGKILL, nothing is flushed or said."""
        self._end(grace=0)

    def pause(self) -> None:
        """Freeze: connections stay open, nothing answers."""
        for process in marked(self.folder):
            process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw."""
        for process in marked(self.folder):
            process.send_signal(signal.SIGCONT)

    def _end(self, grace: float) -> None:
        end(self.folder, grace)
        if self._process is not None:
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
