"""The API: can it reach the broker, and do the workers mean the same things by the same names?"""

from collections.abc import Iterator

from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding
from stalk.doctor.paste import Variable, setting, shell, values

__all__ = ["check"]


def check(facts: Facts) -> Iterator[Finding]:
    """Judge the API's answers, its way to the broker, and its settings beside the workers'."""
    if facts.api_problem:
        yield Finding("api-not-ready", facts.api_problem, _api(facts))
    problem = facts.broker.problem if facts.broker else None
    if problem is not None:
        kind = "unreachable" if problem.kind == "other" else problem.kind
        yield Finding(f"broker-{kind}", f"{facts.app.broker}: {problem.text}", _cure(facts, kind))
    yield from _vhost(facts)
    yield from _queues(facts)
    yield from _exchanges(facts)
    yield from _serializers(facts)


def _api(facts: Facts) -> str:
    if facts.place.namespace:
        return facts.place.kubectl("logs", "-l", facts.place.selector("api"), "--tail=20")
    return shell("curl", "-i", f"{facts.api_url.rstrip('/')}/readyz")


def _cure(facts: Facts, kind: str) -> str:
    """Return what mends the way to the broker, or tells more of it."""
    app, place = facts.app, facts.place
    if kind == "dns":
        return "kubectl get services -A | grep -E '567[12]'   # BROKER_HOST is the name of one, a dot, its namespace"
    if kind == "unreachable":
        return place.look("pods,services,networkpolicies", "rabbitmq")
    if kind == "login":
        known, change = place.secret("BROKER_PASSWORD"), ("change_password", app.user, Variable("BROKER_PASSWORD"))
        given = f'BROKER_PASSWORD="$({known})"; ' if known else ""
        return place.restart("rabbitmq") if place.rabbitmq else f"{given}{place.rabbitmqctl(*change)}"
    if kind == "vhost":
        rights = place.rabbitmqctl("set_permissions", "--vhost", app.vhost, app.user, ".*", ".*", ".*")
        return f"{place.rabbitmqctl('add_vhost', app.vhost)} && {rights}"
    return place.tls("rabbitmq", "BROKER_TLS_CA") or (
        f"BROKER_TLS=true BROKER_PORT=5671 {setting('BROKER_TLS_CA', Variable('CA_FILE'))}   # or all of them unset; "
        "in values.yaml: externalRabbitmq.tls"
    )


def _idle_with_messages(facts: Facts) -> Iterator[tuple[str, int]]:
    """Yield the app's queues that have messages and no consumer."""
    if facts.broker is None:
        return
    for name in facts.app.queues:
        ready = facts.broker.ready.get(name, 0)
        if ready and not facts.broker.consumers.get(name):
            yield name, ready


def _vhost(facts: Facts) -> Iterator[Finding]:
    """Find a queue of the same name that is consumed in another virtual host, while ours is not."""
    if facts.management is None or facts.broker is None:
        return
    for name in facts.app.queues:
        if facts.broker.consumers.get(name):
            continue
        there = [each for each in facts.management.queues if each["name"] == name and each.get("consumers")]
        for each in there:
            if each["vhost"] != facts.app.vhost:
                yield Finding(
                    "vhost-differs",
                    f"{facts.app.name} uses queue {name} in vhost {facts.app.vhost}; "
                    f"its {each['consumers']} consumers are in vhost {each['vhost']}",
                    _with_vhost(facts, each["vhost"]),
                )


def _with_vhost(facts: Facts, vhost: str) -> str:
    if facts.place.namespace:
        return f"{values({facts.place.values_of('rabbitmq'): {'vhost': vhost}})}   # values.yaml: for API and workers"
    return f"{setting('BROKER_VHOST', vhost)}   # in the environment of both API and workers"


def _queues(facts: Facts) -> Iterator[Finding]:
    if facts.workers is None:
        return
    consumed = sorted({str(one["name"]) for each in facts.workers.queues.values() for one in each})
    for name, ready in _idle_with_messages(facts):
        if consumed and name not in consumed:
            yield Finding(
                "queue-differs",
                f"{facts.app.name} sends to {name}, where {ready} messages wait; "
                f"{', '.join(sorted(facts.workers.queues))} consume {', '.join(consumed)}",
                f"{values({'workers': {'default': {'queues': [name]}}})}   # values.yaml; or celery worker -Q",
            )


def _exchanges(facts: Facts) -> Iterator[Finding]:
    if facts.workers is None:
        return
    for worker, queues in sorted(facts.workers.queues.items()):
        for each in queues:
            ours = facts.app.queues.get(str(each["name"]))
            theirs = str((each.get("exchange") or {}).get("name", ""))
            if ours is not None and theirs != ours[0]:
                yield Finding(
                    "exchange-differs",
                    f"for queue {each['name']} {facts.app.name} publishes to exchange {ours[0] or '(default)'}, "
                    f"{worker} binds it to {theirs or '(default)'}",
                    f"configure(app, settings, queues={list(facts.app.queues)})   # from stalk.celery, in both; or the "
                    "same task_queues",
                )


def _serializers(facts: Facts) -> Iterator[Finding]:
    if facts.workers is None:
        return
    for worker, conf in sorted(facts.workers.conf.items()):
        if not any(queue in facts.app.queues for queue in _names(facts, worker)):
            continue
        accepted = {str(each) for each in conf.get("accept_content") or ()}
        writes = str(conf.get("result_serializer", ""))
        result_accept = facts.app.accept_content
        if accepted and not _accepts(accepted, facts.app.task_serializer):
            yield Finding(
                "serializer-differs",
                f"{facts.app.name} writes tasks as {facts.app.task_serializer}, "
                f"{worker} accepts {', '.join(sorted(accepted))}",
                f"task_serializer = {sorted(accepted)[0]!r}   # of the app that sends",
            )
        if writes and not _accepts(set(result_accept), writes):
            yield Finding(
                "serializer-differs",
                f"{worker} writes results as {writes}, {facts.app.name} accepts {', '.join(sorted(result_accept))}",
                f"result_serializer = {facts.app.result_serializer!r}   # of the app that the workers run",
            )


def _names(facts: Facts, worker: str) -> list[str]:
    assert facts.workers is not None  # noqa: S101 (asked above)
    return [str(each["name"]) for each in facts.workers.queues.get(worker, ())]


def _accepts(accepted: set[str], serializer: str) -> bool:
    """Tell whether content of this serializer is taken; both may be named by type, such as application/json."""
    return any(each.rpartition("/")[2].removeprefix("x-") == serializer.removeprefix("x-") for each in accepted)
