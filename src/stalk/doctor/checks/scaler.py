"""The scaler: can KEDA read the queue, and does what it reads mean something?"""

from collections.abc import Iterator

from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding
from stalk.doctor.paste import Variable, values

__all__ = ["check"]


def check(facts: Facts) -> Iterator[Finding]:
    """Judge what the management API gives a scaler."""
    management = facts.management
    if management is None:
        return
    if management.problem is not None:
        login = management.problem.kind == "login"
        yield Finding(
            "management-login" if login else "management-unreachable",
            f"{management.problem.where}: {management.problem.text}",
            _login(facts) if login else _reach(facts),
        )
    elif management.stats_off:
        yield Finding(
            "metrics-off",
            "GET /api/overview says disable_stats: true, and enable_queue_totals: false",
            _statistics(facts),
        )


def _login(facts: Facts) -> str:
    """Return what gives the tag to who knows the password, and says of others that they do not."""
    if facts.place.rabbitmq:
        return facts.place.restart("rabbitmq")
    user, password = facts.app.management_user, Variable("BROKER_MANAGEMENT_PASSWORD")
    asks = facts.place.rabbitmqctl("authenticate_user", user, password)
    return f"{asks} && {facts.place.rabbitmqctl('set_user_tags', user, 'monitoring')}"


def _reach(facts: Facts) -> str:
    if facts.place.rabbitmq:
        return facts.place.look("pods,services,networkpolicies", "rabbitmq")
    return "rabbitmq-plugins enable rabbitmq_management   # and BROKER_MANAGEMENT_URL names this broker"


def _statistics(facts: Facts) -> str:
    if facts.place.rabbitmq:
        line = values({"rabbitmq": {"extraConfig": "management.disable_stats = false"}})
        return f"{line}   # values.yaml: in place of what is there of statistics"
    return "management.disable_stats = false   # in rabbitmq.conf; or management.enable_queue_totals = true"
