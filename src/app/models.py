"""The bodies of the HTTP API."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.ledger import Order
from stalk.celery.state import TaskState

__all__ = ["LONGEST_WORD", "Accepted", "Problem", "Process", "ProcessId", "Submission", "TaskView", "Word"]

LONGEST_COUNTDOWN = 30 * 86_400
LONGEST_WORD = 200

Word = Annotated[str, Field(min_length=1, max_length=LONGEST_WORD, description="What the task returns.")]


class ProcessId(BaseModel):
    """The example's answer to a submission."""

    process_id: str


class Process(BaseModel):
    """The example's answer about a task."""

    id: str
    status: str = Field(description="Celery's state: PENDING, STARTED, PROGRESS, SUCCESS, FAILURE, RETRY or REVOKED.")
    error: str | None = None
    result: Any = None

    @classmethod
    def of(cls, state: TaskState) -> "Process":
        """Return the body for a state."""
        return cls(id=state.id, status=state.status, error=state.error, result=state.result)


class Submission(BaseModel):
    """A task to queue."""

    model_config = ConfigDict(extra="forbid")

    word: Word
    countdown: int = Field(
        0, ge=0, le=LONGEST_COUNTDOWN, strict=True, description="Seconds that the task waits in the broker first."
    )
    ledger: Order | None = Field(None, description="A task of the chaos suite instead; refused unless LEDGER=true.")


class Accepted(BaseModel):
    """A queued task."""

    id: str
    status: str


class TaskView(Process):
    """A task's state."""

    progress: int | None = Field(None, description="Percent done, while the status is PROGRESS; 100 after SUCCESS.")

    @classmethod
    def of(cls, state: TaskState) -> "TaskView":
        """Return the body for a state."""
        percent = state.meta.get("process_percent") if isinstance(state.meta, dict) else None
        return cls(
            id=state.id,
            status=state.status,
            error=state.error,
            result=state.result,
            progress=100 if state.status == "SUCCESS" else percent,
        )


class Problem(BaseModel):
    """Why a request was not done."""

    detail: str
    dependency: str | None = Field(None, description="`broker` or `results`, when one of them is down.")
