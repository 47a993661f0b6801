"""Values that cannot work: the whole message of each, and the line that it says to paste."""

import re
from typing import Any, NamedTuple

import pytest
import yaml

from charting.cases import CASES
from charting.rendering import CHART, Values, merged, refusal

START = "execution error at (stalk/templates/z-validate/validate.yaml:2:4): values that cannot work:\n\n"
BROKER: dict[str, Any] = {
    "rabbitmq": {"enabled": False},
    "externalRabbitmq": {"host": "mq", "username": "me", "existingSecret": "mine"},
}
REDIS: dict[str, Any] = {"redis": {"enabled": False}, "externalRedis": {"host": "redis"}}
PRINTF = r'\(printf "[^"]*"[^()]*\)'
NO_CPU: dict[str, Any] = {"requests": {"cpu": None}, "limits": {"cpu": None}}


def broker(**values: Any) -> dict[str, Any]:
    return merged(BROKER, {"externalRabbitmq": values})


def management(**values: Any) -> dict[str, Any]:
    return broker(management={"url": "http://mq:15672"} | values)


def redis(**values: Any) -> dict[str, Any]:
    return merged(REDIS, {"externalRedis": values})


def pool(**values: Any) -> dict[str, Any]:
    return {"workers": {"default": values}}


class Rejection(NamedTuple):
    values: Values
    path: str
    why: str
    paste: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.why}{f' Paste:{chr(10)}    {self.paste}' if self.paste else ''}\n\n"


REJECTIONS = [
    Rejection(
        {"externalRabbitmq": {"host": "mq"}},
        "externalRabbitmq.host",
        "is set, and so is rabbitmq.enabled: one broker is used.",
        "rabbitmq: {enabled: false}",
    ),
    Rejection(
        {"rabbitmq": {"auth": {"scalerUsername": "stalk"}}},
        "rabbitmq.auth.scalerUsername",
        "is the app's own user; the scaler's may read queue lengths and no more.",
        "rabbitmq: {auth: {scalerUsername: stalk-monitor}}",
    ),
    Rejection(
        {"rabbitmq": {"auth": {"workerUsername": "stalk"}}},
        "rabbitmq.auth.workerUsername",
        "is the app's own user, or the scaler's; a worker's has rights of its own.",
        "rabbitmq: {auth: {workerUsername: stalk-worker}}",
    ),
    Rejection(
        {"rabbitmq": {"tls": {"enabled": True}}},
        "rabbitmq.tls.existingSecret",
        "is empty: TLS needs a Secret with a certificate for the names demo-stalk-rabbitmq and "
        "demo-stalk-rabbitmq.shop.svc, its key and its CA.",
        "rabbitmq: {tls: {existingSecret: my-rabbitmq-tls}}",
    ),
    Rejection(
        {"redis": {"tls": {"existingSecret": "tls"}}},
        "redis.tls.enabled",
        "is false, though existingSecret names a certificate: passwords would go in the clear.",
        "redis: {tls: {enabled: true}}",
    ),
    Rejection(
        broker(host=""),
        "externalRabbitmq.host",
        "is empty: rabbitmq.enabled: false needs the host of your broker.",
        "externalRabbitmq: {host: rabbitmq.example.org}",
    ),
    Rejection(
        broker(username=""),
        "externalRabbitmq.username",
        "is empty, and usernameKey names no key of existingSecret.",
        "externalRabbitmq: {username: stalk}",
    ),
    Rejection(
        broker(existingSecret=""),
        "externalRabbitmq.existingSecret",
        "is empty, and so is password.",
        "externalRabbitmq: {existingSecret: my-rabbitmq, passwordKey: password}",
    ),
    Rejection(
        broker(password="secret"),
        "externalRabbitmq.password",
        "is set, and so is existingSecret: one of them is used.",
        'externalRabbitmq: {password: ""}',
    ),
    Rejection(
        broker(tls={"caSecret": "ca"}),
        "externalRabbitmq.tls.enabled",
        "is false, though caSecret names a CA: passwords would go in the clear.",
        "externalRabbitmq: {tls: {enabled: true}}",
    ),
    Rejection(
        merged(BROKER, pool(autoscaling={"mode": "keda"})),
        "externalRabbitmq.management.url",
        "is empty: KEDA reads queue lengths from the broker's management API.",
        'externalRabbitmq: {management: {url: "https://rabbitmq.example.org:15671"}}',
    ),
    Rejection(
        management(password="secret"),
        "externalRabbitmq.management.username",
        "is empty, though a password is given for it.",
        "externalRabbitmq: {management: {username: monitor}}",
    ),
    Rejection(
        management(username="monitor"),
        "externalRabbitmq.management.existingSecret",
        "is empty, and so is password, though a user is named.",
        "externalRabbitmq: {management: {existingSecret: my-rabbitmq-monitor, passwordKey: password}}",
    ),
    Rejection(
        management(username="monitor", password="secret", existingSecret="mine"),
        "externalRabbitmq.management.password",
        "is set, and so is existingSecret: one of them is used.",
        'externalRabbitmq: {management: {password: ""}}',
    ),
    Rejection(
        {"externalRedis": {"host": "redis"}},
        "externalRedis.host",
        "is set, and so is redis.enabled: one Redis is used.",
        "redis: {enabled: false}",
    ),
    Rejection(
        redis(host=""),
        "externalRedis.host",
        "is empty: redis.enabled: false needs the host of your Redis.",
        "externalRedis: {host: redis.example.org}",
    ),
    Rejection(
        redis(usernameKey="user"),
        "externalRedis.existingSecret",
        "is empty, though usernameKey names a key of it.",
        "externalRedis: {existingSecret: my-redis}",
    ),
    Rejection(
        redis(password="secret", existingSecret="mine"),
        "externalRedis.password",
        "is set, and so is existingSecret: one of them is used.",
        'externalRedis: {password: ""}',
    ),
    Rejection(
        redis(tls={"caSecret": "ca"}),
        "externalRedis.tls.enabled",
        "is false, though caSecret names a CA: passwords would go in the clear.",
        "externalRedis: {tls: {enabled: true}}",
    ),
    Rejection(
        {"api": {"ingress": {"enabled": True}, "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]}}},
        "api.httpRoute.enabled",
        "is true, and so is ingress.enabled: one way in is enough.",
        "api: {ingress: {enabled: false}}",
    ),
    Rejection(
        {"flower": {"httpRoute": {"enabled": True}}},
        "flower.httpRoute.parentRefs",
        "is empty: an HTTPRoute belongs to a Gateway.",
        "flower: {httpRoute: {parentRefs: [{name: my-gateway}]}}",
    ),
    Rejection(
        {"api": {"service": {"nodePort": 30080}}},
        "api.service.nodePort",
        "is set, but service.type is ClusterIP, which has none.",
        "api: {service: {type: NodePort}}",
    ),
    Rejection(
        {"flower": {"service": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}}},
        "flower.service.loadBalancerSourceRanges",
        "limits nothing: service.type is ClusterIP.",
        "flower: {service: {type: LoadBalancer}}",
    ),
    Rejection(
        {"api": {"autoscaling": {"enabled": True}, "resources": NO_CPU}},
        "api.resources.requests.cpu",
        "is missing: api.autoscaling measures CPU as a part of it.",
        "api: {resources: {requests: {cpu: 100m}}}",
    ),
    Rejection(
        {"api": {"autoscaling": {"enabled": True, "min": 9}}},
        "api.autoscaling.min",
        "9 is more than max, 5.",
        "api: {autoscaling: {max: 9}}",
    ),
    Rejection(
        {"api": {"drainSeconds": 50}},
        "api.terminationGracePeriodSeconds",
        "45 leaves no time after drainSeconds, 50, to finish requests.",
        "api: {terminationGracePeriodSeconds: 90}",
    ),
    Rejection(
        {"workers": {"gpu": {"concurrency": 2}}},
        "workers.gpu.queues",
        "is empty: a pool works on at least one queue.",
        "workers: {gpu: {queues: [gpu]}}",
    ),
    Rejection(
        pool(pool="solo", concurrency=2, longestTaskSeconds=60),
        "workers.default.concurrency",
        "2 cannot be with pool: solo, which runs one task at a time.",
        "workers: {default: {concurrency: 1}}",
    ),
    Rejection(
        pool(pool="solo"),
        "workers.default.pool",
        "solo sends no heartbeat while it runs a task: one of longestTaskSeconds, 600, would be killed by "
        "probes.liveness, which waits 300 s.",
        "workers: {default: {pool: threads, concurrency: 1}}",
    ),
    Rejection(
        pool(autoscaling={"min": 11}),
        "workers.default.autoscaling.min",
        "11 is more than max, 10.",
        "workers: {default: {autoscaling: {max: 11}}}",
    ),
    Rejection(
        pool(autoscaling={"mode": "hpa"}, resources=NO_CPU),
        "workers.default.resources.requests.cpu",
        "is missing: the autoscaler measures CPU as a part of it.",
        "workers: {default: {resources: {requests: {cpu: 100m}}}}",
    ),
    Rejection(
        pool(autoscaling={"mode": "keda", "cpuTrigger": True}, resources=NO_CPU),
        "workers.default.resources.requests.cpu",
        "is missing: the autoscaler measures CPU as a part of it.",
        "workers: {default: {resources: {requests: {cpu: 100m}}}}",
    ),
    Rejection(
        pool(terminationGracePeriodSeconds=60),
        "workers.default.terminationGracePeriodSeconds",
        "60 is too short for longestTaskSeconds, 600, and 10 s to say goodbye: Kubernetes would kill the task.",
        "workers: {default: {terminationGracePeriodSeconds: 630}}",
    ),
    Rejection(
        pool(interruptible=True, softShutdownSeconds=25, terminationGracePeriodSeconds=30),
        "workers.default.terminationGracePeriodSeconds",
        "30 is too short for softShutdownSeconds, 25, and 10 s to say goodbye: Kubernetes would kill the task.",
        "workers: {default: {terminationGracePeriodSeconds: 35}}",
    ),
    Rejection(
        pool(autoscaling={"mode": "keda", "cooldownPeriod": 300}),
        "workers.default.autoscaling.cooldownPeriod",
        "300 is not longer than longestTaskSeconds, 600: workers would go while a task may still run.",
        "workers: {default: {autoscaling: {cooldownPeriod: 660}}}",
    ),
    Rejection(
        merged(BROKER, pool(longestTaskSeconds=7200)),
        "externalRabbitmq.consumerTimeoutSeconds",
        "1800 is too short for workers.default.longestTaskSeconds, 7200, and 60 s: the broker would take the task away "
        "and run it again. Raise consumer_timeout in the broker's rabbitmq.conf to 7500000, and say so here.",
        "externalRabbitmq: {consumerTimeoutSeconds: 7500}",
    ),
]
LABELS = [
    Rejection(values, path, "is a label that the chart sets itself: take it out.")
    for values, path in (
        ({"commonLabels": {"app.kubernetes.io/name": "mine"}}, "commonLabels.app.kubernetes.io/name"),
        ({"metrics": {"labels": {"helm.sh/chart": "mine"}}}, "metrics.labels.helm.sh/chart"),
        ({"metrics": {"dashboard": {"labels": {"helm.sh/chart": "mine"}}}}, "metrics.dashboard.labels.helm.sh/chart"),
        (
            {"podDefaults": {"podLabels": {"app.kubernetes.io/part-of": "mine"}}, "workers": {"default": None}},
            "podDefaults.podLabels.app.kubernetes.io/part-of",
        ),
        (
            {"api": {"podLabels": {"app.kubernetes.io/component": "mine"}}},
            "api.podLabels.app.kubernetes.io/component",
        ),
        (pool(podLabels={"stalk/pool": "mine"}), "workers.default.podLabels.stalk/pool"),
    )
]


def test_nothing_is_refused_that_works() -> None:
    assert {name: refusal(values) for name, values in CASES.items() if refusal(values)} == {}


@pytest.mark.parametrize("rejection", REJECTIONS + LABELS, ids=lambda rejection: rejection.path)
def test_the_whole_message(rejection: Rejection) -> None:
    assert refusal(rejection.values) == f"{START}{str(rejection).rstrip()}\n"


@pytest.mark.parametrize("rejection", REJECTIONS, ids=lambda rejection: rejection.path)
def test_the_pasted_line_helps(rejection: Rejection) -> None:
    after = refusal(merged(rejection.values, yaml.safe_load(rejection.paste)))
    assert f"{rejection.path}: {rejection.why}" not in after
    assert "schema" not in after


def test_all_problems_are_told_at_once() -> None:
    first, second = REJECTIONS[0], REJECTIONS[-8]
    assert refusal(merged(first.values, second.values)) == f"{START}{first!s}{str(second).rstrip()}\n"


def test_every_rejection_of_the_chart_is_here() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in CHART.glob("templates/**/*.tpl"))
    calls = re.findall(rf'"stalk\.problem" \(list (?:{PRINTF}|"[^"]*") (?:\(printf )?"((?:[^"\\]|\\.)*)"', text)
    assert len(calls) == text.count('include "stalk.problem"')
    said = [f"{rejection.why}\n" for rejection in REJECTIONS + LABELS]
    for why in calls:
        pattern = re.sub(r"%[sd]", ".*", re.escape(why))
        assert any(re.match(pattern, one) for one in said), why


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"bogus": 1}, "at '': additional properties 'bogus' not allowed"),
        ({"api": {"portt": 1}}, "at '/api': additional properties 'portt' not allowed"),
        (
            pool(autoscaling={"mod": "keda"}),
            "at '/workers/default/autoscaling': additional properties 'mod' not allowed",
        ),
        (pool(concurrency="2"), "at '/workers/default/concurrency': got string, want null or integer"),
        (pool(concurrency=0), "at '/workers/default/concurrency': minimum: got 0, want 1"),
        (pool(autoscaling={"mode": "vpa"}), "at '/workers/default/autoscaling/mode': value must be one of "),
        (pool(queues=["a,b"]), "at '/workers/default/queues/0': 'a,b' does not match pattern"),
        ({"workers": {"A_b": {"queues": ["a"]}}}, "at '/workers'"),
        ({"extraEnv": {"A": 1}}, "at '/extraEnv/A'"),
        ({"image": {"digest": "sha256:1"}}, "at '/image/digest': 'sha256:1' does not match pattern"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_the_schema_names_the_path(values: Values, problem: str) -> None:
    assert f"\n- {problem}" in refusal(values)
