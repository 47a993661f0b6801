"""What Kubernetes and Prometheus ask."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from app.problems import RETRY_AFTER
from app.routes.dependencies import TheTasks

__all__ = ["router"]

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: str


class Readiness(Health):
    """The dependencies, each `ok` or what is wrong with it."""

    broker: str
    results: str


@router.get("/healthz")
async def healthz() -> Health:
    """Tell that the process is alive; says nothing of broker and Redis, for a restart would not bring them back."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Broker or Redis is down."}})
async def readyz(tasks: TheTasks) -> Response:
    """Tell whether broker and results can be reached, within 5 s."""
    found = await tasks.ready()
    ok = not any(found.values())
    body = Readiness(status="ok" if ok else "unavailable", **{name: problem or "ok" for name, problem in found.items()})
    return JSONResponse(body.model_dump(), 200 if ok else 503, None if ok else RETRY_AFTER)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Tell Prometheus what was accepted and refused."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
