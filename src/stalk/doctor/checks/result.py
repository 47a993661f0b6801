"""The result: can it be stored, and is it read where it is written?"""

from collections.abc import Iterator

from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding
from stalk.doctor.paste import Variable, setting
from stalk.doctor.target import store

__all__ = ["check"]


def check(facts: Facts) -> Iterator[Finding]:
    """Judge the way to Redis, and where workers write."""
    if facts.redis is not None and facts.redis.problem is not None:
        problem = facts.redis.problem
        kind = "unreachable" if problem.kind in ("other", "vhost") else problem.kind
        yield Finding(f"redis-{kind}", f"{facts.app.results}: {problem.text}", _cure(facts, kind))
    if facts.redis is not None and facts.redis.write_problem:
        yield Finding(
            "redis-full",
            f"{facts.app.results}: {facts.redis.write_problem}",
            f"{facts.place.redis_cli(facts.app.results, 'info', 'memory')}   # then redis.resources.limits.memory in "
            "values.yaml",
        )
    if facts.workers is None:
        return
    own = facts.app.results
    for name, conf in sorted(facts.workers.conf.items()):
        theirs = store(str(conf.get("result_backend") or ""))
        if not any(one.get("name") in facts.app.queues for one in facts.workers.queues.get(name, ())):
            continue
        if theirs.replace("127.0.0.1:", "localhost:") != own.replace("127.0.0.1:", "localhost:"):
            yield Finding(
                "redis-differs",
                f"{facts.app.name} reads results from {own}, {name} writes them to {theirs}",
                f"{setting('REDIS_HOST', own.rpartition(':')[0])} {setting('REDIS_DB', own.rpartition('/')[2])}   "
                "# in the environment of both",
            )


def _cure(facts: Facts, kind: str) -> str:
    """Return what mends the way to Redis, or tells more of it."""
    place = facts.place
    if kind == "dns":
        return "kubectl get services -A | grep 6379   # REDIS_HOST is the name of one, a dot, its namespace"
    if kind == "unreachable":
        return place.look("pods,services,networkpolicies", "redis")
    if kind == "login":
        known, ping = place.secret("REDIS_PASSWORD"), place.redis_cli(facts.app.results, "ping")
        given = f'REDIS_PASSWORD="$({known})"; ' if known else ""
        return place.restart("redis") if place.redis else f"{given}{ping}   # PONG: the password is right"
    return place.tls("redis", "REDIS_TLS_CA") or (
        f"REDIS_TLS=true {setting('REDIS_TLS_CA', Variable('CA_FILE'))}   # or both unset; in values.yaml: "
        "externalRedis.tls"
    )
