"""Keeping secrets out of what is printed. Everything that comes from outside goes through here."""

import base64
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "Redactor"]

MASK = "***"

_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@'\"]*:[^\s/'\"]*@", re.IGNORECASE)


class Redactor:
    """Replaces secrets in text.

    Args:
        secrets: the values; each is also found quoted for a URL, in base64, and as Python writes it.
        public: names that are printed as they are even where a secret is a part of them, such as the queue
            `test-queue` when the password is `test`: who knows the name learns nothing.
    """

    def __init__(self, secrets: Iterable[str], public: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        self._secrets = sorted(forms, key=len, reverse=True)
        self._public = [name for name in set(public) if any(form in name and form != name for form in forms)]

    def __call__(self, text: str) -> str:
        """Return the text without secrets, and without the login of any URL."""
        text = _USERINFO.sub(rf"\1{MASK}@", text)
        safe = [span for name in self._public for span in _spans(name, text)]
        hidden = sorted(
            (begin, end)
            for secret in self._secrets
            for begin, end in _spans(secret, text)
            if not any(first <= begin and end <= last for first, last in safe)
        )
        parts, done = [], 0
        for begin, end in hidden:
            if begin >= done:
                parts += [text[done:begin], MASK]
            done = max(done, end)
        return "".join([*parts, text[done:]])


def _spans(word: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where a word stands in a text, overlaps included."""
    begin = text.find(word)
    while begin >= 0:
        yield begin, begin + len(word)
        begin = text.find(word, begin + 1)


def _forms(secret: str) -> set[str]:
    encoded = secret.encode(errors="surrogatepass")
    return {
        secret,
        quote(encoded, safe=""),
        quote(encoded),
        quote_plus(encoded),
        base64.b64encode(encoded).decode(),
        repr(secret)[1:-1],
        repr(encoded)[2:-1],
        secret.encode("unicode_escape").decode(),
    }
