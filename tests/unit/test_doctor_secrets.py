"""No secret is printed by `stalk doctor`, in whatever form a library may have put it into a message."""

import base64
from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st

from stalk.doctor.findings import Finding, Unchecked
from stalk.doctor.redact import MASK, Redactor
from stalk.doctor.report import Report

SECRETS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=3, max_size=20)


def report(text: str) -> Report:
    return Report([Finding("queue-missing", text, text)], [Unchecked(("queue",), text, text, text)], {"API": text}, 1.0)


@given(SECRETS, st.text(max_size=30), st.text(max_size=30))
def test_no_form_of_a_secret_is_left(secret: str, before: str, after: str) -> None:
    static = report("").as_text(color=False) + report("").as_json()
    assume(secret not in static and secret not in MASK)
    forms = [secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode(), repr(secret)[1:-1]]
    for form in forms:
        assume(form not in static)
        text = f"{before}{form}{after}"
        said = report(text).redacted(Redactor([secret]))
        for field in (said.findings[0].evidence, said.findings[0].paste, said.unchecked[0].why, said.seen["API"]):
            assert secret not in field.replace(MASK, "\0")
            assert form not in field.replace(MASK, "\0")


def test_a_login_in_a_url_is_never_printed() -> None:
    redact = Redactor([])
    assert redact("cannot reach amqp://ann:p%40ss@host:5672/x") == "cannot reach amqp://***@host:5672/x"
    assert redact("redis://:secret@host/0 is away") == "redis://***@host/0 is away"


def test_a_name_that_has_a_weak_password_in_it_stays_readable() -> None:
    redact = Redactor(["test"], public=["test-queue"])
    assert redact("queue test-queue: login test failed") == "queue test-queue: login *** failed"
    assert redact("test-que") == "***-que"


def test_a_name_that_is_the_password_is_not_printed() -> None:
    assert Redactor(["guest"], public=["guest"])("guest") == MASK
