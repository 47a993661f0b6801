"""The API server of the cluster that this pod runs in, with the pod's service account."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

from stalk.api_server import ApiServer, Failed, TryAgain
from stalk.doctor.sources.kubernetes import SECONDS, NoCluster, Response

__all__ = ["ServiceAccount"]


class ServiceAccount:
    """This pod's.

    Args:
        namespace: of the release; the pod's own unless given.

    Raises:
        NoCluster: this is no pod, or it has no token.
    """

    context = "this pod's service account"

    def __init__(self, namespace: str | None = None) -> None:
        try:
            self._server = ApiServer()
        except Failed as error:
            raise NoCluster(str(error)) from error
        self.namespace = namespace or self._server.namespace

    def read(self, path: str, query: Mapping[str, str]) -> Response:
        """Send a GET."""
        try:
            status, body = self._server.read(f"{path}?{urlencode(query)}" if query else path, SECONDS)
        except (Failed, TryAgain) as error:
            raise NoCluster(str(error)) from error
        return Response(status, HTTPStatus(status).phrase, body.decode(errors="replace"))
