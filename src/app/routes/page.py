"""The page for people, and what it asks beside the tasks."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from app.problems import answers
from app.routes.dependencies import TheTasks

__all__ = ["router"]

router = APIRouter(tags=["page"])

PAGE = Path(__file__).parent.parent / "static" / "index.html"


class Backlog(BaseModel):
    """Ready messages by queue."""

    ready: dict[str, int] = Field(description="Messages that no worker has taken yet.")


@router.get("/", response_class=FileResponse, include_in_schema=False)
async def page() -> FileResponse:
    """Return the page."""
    return FileResponse(PAGE, media_type="text/html")


@router.get("/queues", responses=answers(503))
async def queues(tasks: TheTasks) -> Backlog:
    """Tell how many tasks wait in each queue."""
    return Backlog(ready=await tasks.backlog())
