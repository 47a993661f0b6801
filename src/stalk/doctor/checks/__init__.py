"""One module a link of the chain: from facts to findings, with no look at the world."""

from collections.abc import Callable, Iterator

from stalk.doctor.checks import api, exchange, queue, request, result, scaler, worker
from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding

__all__ = ["CHECKS", "check"]

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    request.check,
    api.check,
    exchange.check,
    queue.check,
    worker.check,
    result.check,
    scaler.check,
)


def check(facts: Facts) -> list[Finding]:
    """Return what is wrong, in the order of the chain."""
    return [finding for each in CHECKS for finding in each(facts)]
