"""What routes are given."""

from typing import Annotated, cast

from fastapi import Depends, Path, Request

from app.service import Tasks

__all__ = ["TaskId", "TheTasks"]


async def _tasks(request: Request) -> Tasks:  # async, for FastAPI runs a plain function in a thread
    return cast("Tasks", request.app.state.tasks)


TheTasks = Annotated[Tasks, Depends(_tasks)]
TaskId = Annotated[str, Path(min_length=1, max_length=200, description="The id that a submission answered.")]
