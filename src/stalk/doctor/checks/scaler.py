"""The scaler: can KEDA read the queue, and does what it reads mean something?"""

from collections.abc import Iterator

from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding

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
            "rabbitmqctl set_user_tags <user> monitoring   # and BROKER_MANAGEMENT_USER, BROKER_MANAGEMENT_PASSWORD"
            if login
            else "rabbitmq-plugins enable rabbitmq_management   # and BROKER_MANAGEMENT_URL=http://<host>:15672",
        )
    elif management.stats_off:
        yield Finding(
            "metrics-off",
            "GET /api/overview says disable_stats: true, and enable_queue_totals: false",
            "management.disable_stats = false   # in rabbitmq.conf; or management.enable_queue_totals = true",
        )
