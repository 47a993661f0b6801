"""Settings of the demo service."""

from pydantic import Field

from stalk.settings import ConnectionSettings

__all__ = ["Settings"]


class Settings(ConnectionSettings):
    """The connections of the toolkit, and what the demo service adds."""

    task_queue: str = Field("test-queue", min_length=1, description="Queue of the demo task.")
    accepted_expires_seconds: int = Field(
        86_400, ge=1, description="How long an accepted id is told apart from an unknown one, in seconds."
    )
    steps: int = Field(10, ge=1, le=100, description="Steps of the demo task.")
    step_seconds: float = Field(1.0, ge=0, description="Length of one step of the demo task, in seconds.")
    ledger: bool = Field(
        False,
        description="Take the chaos suite's tasks, which may kill their worker. Never where others submit.",
    )
