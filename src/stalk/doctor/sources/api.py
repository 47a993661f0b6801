"""What the API says of itself."""

import urllib.error
import urllib.request

__all__ = ["ask_api"]

SECONDS = 6.0  # the service's own limit is 5

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask_api(url: str) -> str:
    """Return what is wrong with the API at `url`, from its `/readyz`, or an empty text."""
    ready = f"{url.rstrip('/')}/readyz"
    if not ready.startswith(("http://", "https://")):
        raise ValueError(f"{url} is not an http:// or https:// URL")
    try:
        with _opener.open(urllib.request.Request(ready), timeout=SECONDS) as response:  # noqa: S310 (checked above)
            response.read()
            return ""
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return ""  # an API of its own kind: it answers, and that is all that can be asked
        return f"GET {ready} answered {error.code}: {error.read(500).decode(errors='replace').strip()}"
    except OSError as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return f"GET {ready} got no answer: {reason}"
