"""The ledger: what a task of the chaos suite writes down of each of its runs, for the suite to judge.

The one place that knows the records' format: `app.worker.ledger` writes them, `tests/e2e/chaos` reads them.
"""

import json
from dataclasses import asdict, dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["TASK_NAME", "Order", "Record", "ledger_key"]

TASK_NAME = "app.worker.ledger.ledger"

LONGEST_SECONDS = 3600


class Order(BaseModel):
    """What the ledger task is to do beside writing down its start and its end."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(0, ge=0, le=LONGEST_SECONDS, description="Seconds that the task takes.")
    memory_mb: int = Field(
        0,
        ge=0,
        le=8192,
        strict=True,
        description="MiB that the first run takes, to be killed for it.",
    )
    retry_countdown: int = Field(
        0, ge=0, le=LONGEST_SECONDS, strict=True, description="The first run asks for a retry after so many seconds."
    )
    poison: bool = Field(False, strict=True, description="Every run kills its own process.")


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened to a run."""

    event: Literal["start", "end", "retry"]
    """`retry`: the run has ended by asking for another one, which the broker has confirmed."""
    run: str
    """Another one each time that the task's code begins. A write that Redis took, but did not answer, stands twice."""
    host: str
    """Host name: on Kubernetes the pod's name."""
    pid: int
    """Of the process that runs the task, as its container counts."""
    at: float
    """Seconds since the epoch, by the worker's clock."""

    def encode(self) -> str:
        """Return the text that Redis holds."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: bytes | str) -> Self:
        """Return the record of a text."""
        return cls(**json.loads(text))


def ledger_key(task_id: str) -> str:
    """Return the key of the Redis list with the records of a task, the oldest first."""
    return f"ledger:{task_id}"
