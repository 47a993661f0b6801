"""The HTTP API of the demo service: `hypercorn app.main:app`."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

import stalk
from app.metrics import Metrics
from app.problems import add_handlers
from app.routes import example, health, page, tasks
from app.service import Tasks
from app.submit_lane import SubmitLane
from app.worker.celery_app import celery_app, settings
from stalk.logging import setup_logging

__all__ = ["app", "create_app"]

# What browsers and crawlers ask for unasked.
UNASKED = {"favicon.ico", "robots.txt", "sitemap.xml", "apple-touch-icon.png"}


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    service = Tasks(celery_app, settings, api.state.metrics)
    service.start()
    api.state.tasks = service
    yield
    await service.stop()


def _first_parts(routes: Iterable[BaseRoute]) -> set[str]:
    return {route.path.split("/")[1] for route in routes if isinstance(route, Route)}


def create_app() -> FastAPI:
    """Return the API; it connects to broker and Redis when its lifespan begins, and starts without them too."""
    setup_logging(settings)
    api = SubmitLane(
        title="Stalk demo service",
        description="Puts tasks on RabbitMQ for Celery workers, and tells how far they are.",
        version=stalk.__version__,
        lifespan=_lifespan,
    )
    api.state.metrics = Metrics()
    add_handlers(api)
    reserved = _first_parts(api.routes) | UNASKED | {"process"}
    for router in (page.router, health.router, tasks.router):
        reserved |= _first_parts(router.routes)
        api.include_router(router)
    api.reserved = frozenset(reserved)
    api.include_router(example.make_router(api.reserved))
    return api


app = create_app()
