"""The exchange: does a message that is published reach the queue?"""

from collections.abc import Iterator

from kombu.transport.native_delayed_delivery import CELERY_DELAYED_DELIVERY_EXCHANGE as DELAYED

from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding
from stalk.doctor.paste import repeated

__all__ = ["check"]


def check(facts: Facts) -> Iterator[Finding]:
    """Judge exchanges and bindings."""
    if facts.broker is None or facts.broker.problem:
        return
    names = ", ".join(facts.app.queues)
    declare = facts.place.stalk("topology", *repeated("--queue", facts.app.queues))
    for name in facts.broker.missing_exchanges:
        yield Finding("exchange-missing", f"exchange {name} does not exist in vhost {facts.app.vhost}", declare)
    if facts.broker.delayed_missing:
        yield Finding("delayed-missing", f"the exchanges celery_delayed_* do not exist; queues {names}", declare)
    bindings = facts.management.bindings if facts.management else None
    if bindings is None:
        return
    bound = {tuple(str(each[key]) for key in ("source", "destination", "routing_key")) for each in bindings}
    pairs = {(source, destination) for source, destination, _ in bound}
    for name, (exchange, key) in facts.app.queues.items():
        if name in facts.broker.missing_queues or exchange in facts.broker.missing_exchanges:
            continue
        if exchange and (exchange, name) not in pairs:
            yield Finding("exchange-unbound", f"no binding from exchange {exchange} to queue {name}", declare)
        quorum = facts.app.arguments.get(name, {}).get("x-queue-type") == "quorum"
        if quorum and not facts.broker.delayed_missing and (DELAYED, exchange, f"#.{key}") not in bound:
            evidence = f"no binding from exchange {DELAYED} to exchange {exchange} for queue {name}"
            yield Finding("delayed-missing", evidence, declare)
