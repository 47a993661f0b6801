"""The API server that this machine's kubeconfig names."""

from collections.abc import Mapping
from typing import Any

from stalk.doctor.sources.kubernetes import SECONDS, NoCluster, Response
from stalk.extras import install

__all__ = ["KubeConfig"]


class KubeConfig:
    """A context of a kubeconfig.

    Args:
        context: its current one unless given.
        namespace: of the release; the context's unless given.

    Raises:
        NoCluster: the client library is missing, or the kubeconfig cannot be used.
    """

    def __init__(self, context: str | None, namespace: str | None) -> None:
        try:
            from kubernetes import client, config
            from kubernetes.config.config_exception import ConfigException
        except ImportError:
            raise NoCluster(f"the Kubernetes client is not installed. Type once:  {install('doctor')}") from None
        try:
            settings: Any = client.Configuration()
            settings.retries = False  # urllib3's three would make a server that hangs cost 20 s instead of 5
            config.load_kube_config(context=context, client_configuration=settings)
            self._client: Any = client.ApiClient(settings)
            contexts, current = config.list_kube_config_contexts()
        except (ConfigException, OSError) as error:
            raise NoCluster(f"no kubeconfig that can be used: {error}") from error
        self._error = client.ApiException
        self.context = context or str(current["name"])
        chosen = next((each for each in contexts if each["name"] == self.context), current)
        self.namespace = namespace or str(chosen["context"].get("namespace") or "default")

    def read(self, path: str, query: Mapping[str, str]) -> Response:
        """Send a GET."""
        parameters = self._client.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(*parameters, _request_timeout=SECONDS)
            data = response.read()
        except self._error as error:
            data, response = b"", error
        except Exception as error:  # whatever urllib3 and its pools raise
            raise NoCluster(f"the API server of context {self.context} gives no answer: {error}") from error
        return Response(int(response.status or 0), str(response.reason), (data or b"").decode(errors="replace"))
