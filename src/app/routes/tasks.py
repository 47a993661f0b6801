"""Tasks as resources."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.models import Accepted, Submission, TaskView
from app.problems import answers
from app.routes.dependencies import TaskId, TheTasks
from app.service import UnknownTask
from stalk.celery.state import TaskState

__all__ = ["router"]

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.post("", status_code=202, responses=answers(400, 503))
async def submit(submission: Submission, request: Request, response: Response, tasks: TheTasks) -> Accepted:
    """Queue a task. 202 means that the broker has confirmed it; `Location` is where to ask for it."""
    task_id = await tasks.submit(submission.word, submission.countdown, submission.ledger)
    response.headers["Location"] = request.url_for("read", task_id=task_id).path
    return Accepted(id=task_id, status="PENDING")


@router.get("/{task_id}", responses=answers(404, 503))
async def read(task_id: TaskId, tasks: TheTasks) -> TaskView:
    """Tell a task's state."""
    return TaskView.of(await tasks.state(task_id))


@router.delete("/{task_id}", status_code=202, responses=answers(404, 409, 503))
async def revoke(
    task_id: TaskId,
    tasks: TheTasks,
    terminate: Annotated[bool, Query(description="Also stop the task if it runs.")] = False,
) -> TaskView:
    """Revoke a task: it will not start, even if no worker is alive now. One that runs is stopped only on demand."""
    return TaskView.of(await tasks.revoke(task_id, terminate))


async def _watch(task_id: TaskId, tasks: TheTasks) -> AsyncIterator[AsyncIterator[TaskState]]:
    # A dependency, so that 404 and 503 are answered before the stream begins.
    async with tasks.watch(task_id) as states:
        if states is None:
            raise UnknownTask(task_id)
        yield states


@router.get("/{task_id}/events", response_class=EventSourceResponse, responses=answers(404, 503))
async def events(states: Annotated[AsyncIterator[TaskState], Depends(_watch)]) -> AsyncIterator[ServerSentEvent]:
    """Follow a task: an event `task` with the body of `GET /tasks/{id}` for each change, until it has ended."""
    async for state in states:
        yield ServerSentEvent(event="task", data=TaskView.of(state))
