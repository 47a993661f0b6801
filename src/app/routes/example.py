"""The two routes of the public example that this service starts from, with its paths, names and keys."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from app.models import LONGEST_WORD, Process, ProcessId
from app.problems import answers
from app.routes.dependencies import TaskId, TheTasks
from stalk.celery.state import TaskState

__all__ = ["make_router"]


def make_router(reserved: frozenset[str]) -> APIRouter:
    """Return the routes; include them last, for `/{word}` takes every path of one part.

    Args:
        reserved: words that never queue a task: first parts of the other routes, and what browsers ask for unasked.
    """
    router = APIRouter(tags=["example"])

    @router.get("/process/{task_id}", responses=answers(503))
    async def process(task_id: TaskId, tasks: TheTasks) -> Process:
        """Tell a task's state. An id that was never accepted is PENDING here, as in Celery."""
        state = await tasks.results.state(task_id)
        return Process.of(state or TaskState(task_id, "PENDING"))

    @router.get("/{word}", responses=answers(503))
    async def submit(
        word: Annotated[str, Path(min_length=1, max_length=LONGEST_WORD, description="What the task returns.")],
        tasks: TheTasks,
    ) -> ProcessId:
        """Queue a task and answer its id at once. A reserved name is 404 and queues nothing.

        A plain word gets here through `app.submit_lane` alone, which does the same with less.
        """
        if word in reserved:
            raise HTTPException(404, f"{word!r} is a reserved name; POST /tasks takes any word")
        return ProcessId(process_id=await tasks.submit(word))

    return router
