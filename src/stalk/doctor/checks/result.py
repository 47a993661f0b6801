"""The result: can it be stored, and is it read where it is written?"""

from collections.abc import Iterator

from stalk.doctor.facts import Facts
from stalk.doctor.findings import Finding
from stalk.doctor.target import store

__all__ = ["check"]

CURES = {
    "dns": "kubectl get service -A | grep redis   # then REDIS_HOST=<service>.<namespace>",
    "unreachable": "kubectl get pods,networkpolicies -l app.kubernetes.io/component=redis",
    "login": "kubectl get secret <release>-credentials -o yaml   # the key that REDIS_PASSWORD comes from",
    "tls": "REDIS_TLS=true REDIS_TLS_CA=<file>   # or both unset; in values.yaml: externalRedis.tls",
}


def check(facts: Facts) -> Iterator[Finding]:
    """Judge the way to Redis, and where workers write."""
    if facts.redis is not None and facts.redis.problem is not None:
        problem = facts.redis.problem
        kind = "unreachable" if problem.kind in ("other", "vhost") else problem.kind
        yield Finding(f"redis-{kind}", f"{facts.app.results}: {problem.text}", CURES[kind])
    if facts.redis is not None and facts.redis.write_problem:
        yield Finding(
            "redis-full",
            f"{facts.app.results}: {facts.redis.write_problem}",
            "redis-cli INFO memory   # then redis.resources.limits.memory in values.yaml",
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
                f"REDIS_HOST={own.rpartition(':')[0]} REDIS_DB={own.rpartition('/')[2]}   # in the environment of both",
            )
