"""The short way for `GET /{word}`: FastAPI's layers, routing and validation cost more than queueing the task does.

`ci/bench submit` prints what it is worth. Whatever is not a plain word goes on to the routes, which refuse it.
"""

from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from app.models import LONGEST_WORD
from app.problems import unavailable
from app.service import Tasks
from stalk.celery.publisher import BrokerUnavailable
from stalk.celery.state import ResultsUnavailable

__all__ = ["SubmitLane"]


class SubmitLane(FastAPI):
    """A FastAPI application that answers the example's submission itself."""

    reserved: frozenset[str] = frozenset()
    """Words that never queue a task."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a submission, or pass the request on."""
        if scope["type"] == "http" and scope["method"] == "GET" and not scope.get("root_path"):
            word: str = scope["path"][1:]
            if 0 < len(word) <= LONGEST_WORD and "/" not in word and word not in self.reserved:
                response = await self._submit(word)
                return await response(scope, receive, send)
        return await super().__call__(scope, receive, send)

    async def _submit(self, word: str) -> JSONResponse:
        tasks: Tasks = self.state.tasks
        try:
            return JSONResponse({"process_id": await tasks.submit(word)})
        except BrokerUnavailable as error:
            return unavailable("broker", str(error))
        except ResultsUnavailable as error:
            return unavailable("results", str(error))
