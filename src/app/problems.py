"""What the API answers when it cannot do what was asked."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app.models import Problem
from app.service import AlreadyEnded, AlreadyRunning, LedgerOff, UnknownTask
from stalk.celery.publisher import BrokerUnavailable
from stalk.celery.state import ResultsUnavailable

__all__ = ["RETRY_AFTER", "add_handlers", "answers", "unavailable"]

RETRY_AFTER = {"Retry-After": "2"}

_MEANINGS = {
    400: "The body is no JSON.",
    404: "The id was never accepted, or is no longer remembered.",
    409: "The task has ended, or runs.",
    503: "The broker or Redis is down; the body says which. Nothing was accepted.",
}


def answers(*codes: int) -> dict[int | str, dict[str, object]]:
    """Return the part of a route's OpenAPI description that tells of these answers."""
    return {code: {"model": Problem, "description": _MEANINGS[code]} for code in codes}


def unavailable(dependency: str, detail: str) -> JSONResponse:
    """Return the 503 that names what is down."""
    body = Problem(detail=f"{dependency} unavailable: {detail}", dependency=dependency)
    return JSONResponse(body.model_dump(), 503, RETRY_AFTER)


def _refusal(code: int, detail: str) -> JSONResponse:
    return JSONResponse(Problem(detail=detail).model_dump(), code)


def add_handlers(api: FastAPI) -> None:
    """Teach the API what its exceptions mean."""

    @api.exception_handler(BrokerUnavailable)
    async def _(_: Request, error: BrokerUnavailable) -> JSONResponse:
        return unavailable("broker", str(error))

    @api.exception_handler(ResultsUnavailable)
    async def _(_: Request, error: ResultsUnavailable) -> JSONResponse:
        return unavailable("results", str(error))

    @api.exception_handler(LedgerOff)
    async def _(_: Request, __: LedgerOff) -> JSONResponse:
        # In the form of FastAPI's own 422, which the schema promises.
        why = "tasks of the chaos suite are off: start API and workers with LEDGER=true"
        return JSONResponse({"detail": [{"type": "ledger_off", "loc": ["body", "ledger"], "msg": why}]}, 422)

    @api.exception_handler(UnknownTask)
    async def _(_: Request, error: UnknownTask) -> JSONResponse:
        return _refusal(404, f"no task with the id {error} was accepted, or it is no longer remembered")

    @api.exception_handler(AlreadyEnded)
    async def _(_: Request, error: AlreadyEnded) -> JSONResponse:
        return _refusal(409, f"the task has ended: {error}")

    @api.exception_handler(AlreadyRunning)
    async def _(_: Request, error: AlreadyRunning) -> JSONResponse:
        return _refusal(409, f"the task runs ({error}); stop it with DELETE …?terminate=true")
