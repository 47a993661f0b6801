"""The short way for `GET /{word}`: FastAPI's routing and validation cost more than queueing the task does.

`ci/bench submit` prints the difference. Whatever is not a plain word goes on to the routes, which refuse it.
"""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.models import LONGEST_WORD
from app.problems import unavailable
from app.service import Tasks
from stalk.celery.publisher import BrokerUnavailable
from stalk.celery.state import ResultsUnavailable

__all__ = ["SubmitLane"]


class SubmitLane:
    """ASGI middleware that answers the example's submission itself.

    Args:
        app: the rest of the service.
        reserved: words that never queue a task.
    """

    def __init__(self, app: ASGIApp, reserved: frozenset[str]) -> None:
        self._app = app
        self._reserved = reserved

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a submission, or pass the request on."""
        if scope["type"] == "http" and scope["method"] == "GET" and not scope.get("root_path"):
            word: str = scope["path"][1:]
            if 0 < len(word) <= LONGEST_WORD and "/" not in word and word not in self._reserved:
                return await self._submit(word, scope, receive, send)
        return await self._app(scope, receive, send)

    async def _submit(self, word: str, scope: Scope, receive: Receive, send: Send) -> None:
        tasks: Tasks = scope["app"].state.tasks
        try:
            response = JSONResponse({"process_id": await tasks.submit(word)})
        except BrokerUnavailable as error:
            response = unavailable("broker", str(error))
        except ResultsUnavailable as error:
            response = unavailable("results", str(error))
        await response(scope, receive, send)
