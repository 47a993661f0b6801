"""What `stalk doctor` gives to paste can be pasted: from a laptop and in a pod, and whatever things are called."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snippets.pastes import problems
from snippets.shell import commands
from stalk.doctor.catalogue import CATALOGUE
from stalk.doctor.checks import check, keda
from stalk.doctor.facts import (
    AppFacts,
    BrokerFacts,
    Facts,
    ManagementFacts,
    Problem,
    RedisFacts,
    TaskFacts,
    WorkerFacts,
)
from stalk.doctor.findings import Finding
from stalk.doctor.paste import Place, Variable, setting, shell, values, values_of
from unit.test_doctor_cluster import BREAKS, recorded, worker

ROOT = Path(__file__).parents[2]
ODD = 'it\'s $HOME; `id` & "co" #1'
"""A name that a shell would do much with."""
SECRETS = {"BROKER_PASSWORD": ("my broker", "pass.word"), "REDIS_TLS_CA": ("redis-tls", "ca.crt")}
PLACES = {
    "in a pod": Place(),
    "bundled servers": Place("shop", "stalk", "stalk-api", "stalk-rabbitmq-0", "stalk-redis-0"),
    "servers of others": Place(
        "shop", "stalk", "stalk-api", secrets={"REDIS_PASSWORD": ("redis", "password"), **SECRETS}
    ),
}
APP = AppFacts(
    name="shop.celery:app",
    broker="rabbitmq.shop:5672/" + ODD,
    vhost=ODD,
    results="redis.shop:6379/1",
    queues={ODD: ("stalk", ODD)},
    arguments={ODD: {"x-queue-type": "quorum"}},
    tasks={"shop.tasks.mail": ODD, "nap": ODD},
    user="ann's",
    management_user="moni tor",
)
NODE = "celery@one"
ASKED = {"name": ODD, "exchange": {"name": "stalk"}}


def problem(kind: Any) -> Problem:
    return Problem(kind, "there:1", "it is away")


def workers(**changes: Any) -> WorkerFacts:
    known: dict[str, Any] = {
        "queues": {NODE: [ASKED]},
        "conf": {NODE: {"result_backend": "redis://redis.shop:6379/1"}},
        "heartbeats": frozenset([NODE]),
        "now": 1000.0,
    }
    return WorkerFacts(**known | changes)


def broker(**changes: Any) -> BrokerFacts:
    return BrokerFacts(**{"ready": {}, "consumers": {ODD: 1}} | changes)


def broken() -> list[Facts]:
    """Return facts with, each in its turn, everything wrong that servers and workers can tell of."""
    task = TaskFacts("6a1e")
    found = [
        Facts(APP, broker=broker(problem=problem(kind))) for kind in ("dns", "unreachable", "login", "vhost", "tls")
    ]
    found += [Facts(APP, redis=RedisFacts(problem=problem(kind))) for kind in ("dns", "unreachable", "login", "tls")]
    found += [Facts(APP, management=ManagementFacts(problem(kind))) for kind in ("login", "unreachable")]
    found += [
        Facts(APP, management=ManagementFacts(stats_off=True)),
        Facts(APP, api_problem="503", api_url="http://localhost:8000/"),
        Facts(APP, redis=RedisFacts(write_problem="OOM", task=task)),
        Facts(APP, redis=RedisFacts(task=replace(task, other_databases=[3]))),
        Facts(APP, redis=RedisFacts(not_registered={"nap": "1", "shop.tasks.mail": "2"})),
        Facts(
            APP,
            broker=broker(
                missing_queues=[ODD], inequivalent={ODD: "406"}, missing_exchanges=["stalk"], delayed_missing=True
            ),
        ),
        Facts(APP, broker=broker(), management=ManagementFacts(bindings=[])),
        Facts(APP, broker=broker(ready={ODD: 1, f"{ODD}.dead-letters": 1}, consumers={})),
        Facts(replace(APP, assumed=True), broker=broker(ready={ODD: 1}, consumers={})),
        Facts(  # the chart takes no odd names
            replace(APP, queues={"mail": ("stalk", "mail")}),
            broker=BrokerFacts(ready={"mail": 1}),
            workers=workers(),
        ),
        Facts(
            APP,
            broker=broker(consumers={}),
            management=ManagementFacts(queues=[{"name": ODD, "vhost": "shop/2", "consumers": 2}]),
        ),
        Facts(APP, broker=broker(), workers=workers(queues={NODE: [ASKED | {"exchange": {"name": "own"}}]})),
        Facts(APP, broker=broker(), workers=workers(registered={NODE: []})),
        Facts(APP, broker=broker(consumers={ODD: 2}), workers=workers(heartbeats=frozenset())),
        Facts(APP, broker=broker(), workers=workers(conf={NODE: {"result_backend": "redis://other/2"}})),
        Facts(
            replace(APP, task_serializer="yaml"),
            broker=broker(),
            workers=workers(conf={NODE: {"accept_content": ["json"], "result_serializer": "pickle"}}),
        ),
        Facts(
            APP,
            broker=broker(),
            workers=workers(
                stats={NODE: {"pool": {"max-concurrency": 1}, "prefetch_count": 4}},
                reserved={NODE: [{"id": "1"}, {"id": "2"}]},
                active={NODE: [{"id": "1", "name": "nap", "time_start": -9000.0}]},
                scheduled={NODE: [{"eta": "tomorrow"}]},
            ),
        ),
    ]
    return found


def found_in(place: Place) -> list[Finding]:
    findings = []
    for facts in broken():
        facts.place = place
        findings += check(facts)
    return findings


@pytest.mark.parametrize("name", PLACES)
def test_what_servers_and_workers_tell_can_be_mended_by_pasting(name: str) -> None:
    place = PLACES[name]
    findings = found_in(place)
    wrong = [(each.id, each.paste, why) for each in findings for why in problems(each.paste, place.namespace)]
    assert wrong == []
    of_the_cluster = {finding for _, finding, _ in BREAKS}
    assert set(CATALOGUE) - {each.id for each in findings} - of_the_cluster == {"setting-invalid"}


@pytest.mark.parametrize("name", PLACES)
def test_odd_names_reach_programs_as_they_are(name: str) -> None:
    of_the_queue = ("queue-missing", "dead-letters", "exchange-missing", "delayed-missing", "exchange-unbound")
    for each in found_in(PLACES[name]):
        if each.id in of_the_queue:
            (command,) = commands(each.paste)
            assert command.words[-1] == ODD
    (created,) = {each.paste for each in found_in(PLACES[name]) if each.id == "broker-vhost"}
    rights = commands(created)[1].words
    assert rights[rights.index("--vhost") :] == ("--vhost", ODD, "ann's", ".*", ".*", ".*")


def test_a_password_is_the_readers_variable() -> None:
    pastes = {each.id: each.paste for each in found_in(Place())}
    assert pastes["broker-login"] == """rabbitmqctl change_password 'ann'"'"'s' "$BROKER_PASSWORD\""""
    assert pastes["management-login"].startswith(
        """rabbitmqctl authenticate_user 'moni tor' "$BROKER_MANAGEMENT_PASSWORD\""""
    )


def test_the_bundled_servers_are_asked_in_their_pods() -> None:
    pastes = {each.id: each.paste for each in found_in(PLACES["bundled servers"])}
    of_rabbitmq = "app.kubernetes.io/component=rabbitmq,app.kubernetes.io/instance=stalk"
    assert pastes["broker-login"].startswith(f"kubectl -n shop rollout restart statefulset -l {of_rabbitmq}   # ")
    assert pastes["broker-vhost"].count("kubectl -n shop exec stalk-rabbitmq-0 -c rabbitmq -- rabbitmqctl") == 2
    assert pastes["redis-full"].startswith("kubectl -n shop exec stalk-redis-0 -c redis -- redis-cli info memory")
    assert pastes["queue-missing"].startswith("kubectl -n shop exec deploy/stalk-api -- stalk topology --queue ")


def test_what_a_secret_holds_is_read_where_it_is() -> None:
    pastes = {each.id: each.paste for each in found_in(PLACES["servers of others"])}
    read = r"kubectl -n shop get secret 'my broker' -o 'jsonpath={.data.pass\.word}' | base64 -d"
    assert pastes["broker-login"].startswith(f'BROKER_PASSWORD="$({read})"; rabbitmqctl change_password ')
    assert pastes["redis-tls"].startswith(
        r"kubectl -n shop get secret redis-tls -o 'jsonpath={.data.ca\.crt}' | base64 -d"
    )


def test_a_release_says_where_lines_are_pasted() -> None:
    place = recorded().place
    assert (place.namespace, place.release, place.deployment) == ("doctor-a", "stalk", "stalk-api")
    assert (place.rabbitmq, place.redis) == ("stalk-rabbitmq-0", "stalk-redis-0")
    assert place.secrets["BROKER_PASSWORD"] == ("stalk-credentials", "rabbitmq-password")


def without_api() -> Place:
    cluster = recorded()
    cluster.deployments = [worker(cluster)]
    return cluster.place


def test_without_an_api_a_worker_is_where_the_environment_is() -> None:
    assert without_api().deployment == "stalk-worker-default"


@pytest.mark.parametrize("word", [ODD, "", "plain", "a/b", "--flag", "a\\b", "ä€", "*"])
def test_a_shell_reads_each_word_as_it_is(word: str) -> None:
    assert shlex.split(shell("program", word)) == ["program", word]
    assert shlex.split(setting("NAME", word)) == [f"NAME={word}"]
    assert shell("program", Variable("NAME")) == 'program "$NAME"'


@pytest.mark.parametrize(
    "value", [ODD, "", "no", "0", "1e3", "~", "null", "a: b", "- a", "{a}", "*x", "shop", 7, None, True]
)
def test_yaml_reads_each_value_as_it_is(value: Any) -> None:
    import yaml

    tree = {"workers": {"mail": {"queues": [value], "extraEnv": {"NAME": value}}}}
    assert yaml.safe_load(values(tree)) == tree


@pytest.mark.parametrize(
    ("labels", "path"),
    [
        ({"app.kubernetes.io/component": "worker", "stalk/pool": "mail"}, "workers: {mail: {a: 1}}"),
        ({"app.kubernetes.io/component": "api"}, "api: {a: 1}"),
        ({"app.kubernetes.io/component": "exporter"}, "metrics: {exporter: {a: 1}}"),
        ({"app.kubernetes.io/component": "credentials"}, "toolkit: {a: 1}"),
    ],
)
def test_values_are_those_of_the_part(labels: dict[str, str], path: str) -> None:
    assert values_of(labels, {"a": 1}) == path


def operator(change: Callable[[dict[str, Any]], None] = lambda _: None) -> str:
    """Return what is given for an operator that is too old, and one that watches elsewhere."""
    cluster = recorded()
    assert cluster.operators
    (one,) = cluster.operators
    one["metadata"]["labels"]["app.kubernetes.io/version"] = "2.14.1"
    one["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "WATCH_NAMESPACE", "value": "other"}]
    change(one)
    findings = list(keda.check(cluster, {}))
    assert [each.id for each in findings] == ["keda-old", "keda-not-watching"]
    assert [why for each in findings for why in problems(each.paste, cluster.namespace)] == []
    return "\n".join(each.paste for each in findings)


def test_a_keda_that_kubectl_has_brought_is_not_helms_to_change() -> None:
    newer, watching = operator().splitlines()
    assert newer == f"kubectl apply --server-side --force-conflicts -f {keda.MANIFEST}"
    assert watching == "kubectl -n keda set env deployments -l app.kubernetes.io/part-of=keda-operator WATCH_NAMESPACE="


def test_a_keda_of_helm_is_changed_in_its_own_release() -> None:
    def by_helm(one: dict[str, Any]) -> None:
        one["metadata"]["namespace"] = "scaling"
        one["metadata"]["labels"] |= {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "keda-2.14.3"}
        names = {"meta.helm.sh/release-name": "our-keda", "meta.helm.sh/release-namespace": "scaling"}
        one["metadata"]["annotations"] = names

    newer, watching = operator(by_helm).splitlines()
    upgrade = "helm upgrade our-keda keda --repo https://kedacore.github.io/charts --namespace scaling"
    assert newer == f"{upgrade} --version {keda.VERSION} --reset-then-reuse-values"
    assert watching == f"{upgrade} --version 2.14.3 --reset-then-reuse-values --set watchNamespace="


def test_the_keda_that_is_given_is_the_one_that_is_tested() -> None:
    pinned = re.search(r"^KEDA_VERSION=(\S+)$", (ROOT / "ci/kind/versions").read_text(encoding="utf-8"), re.M)
    assert pinned
    assert pinned[1] == keda.VERSION


@pytest.mark.parametrize(
    ("paste", "why"),
    [
        ("kubectl -n shop exec deploy/stalk-api -- stalk dead-letters list -A <app>", "<app> is nothing to paste"),
        ("image: {tag: …}", "… is nothing to paste"),
        ("stalk topology --queue (mail)", "syntax error"),
        ("kubectl logs -l app.kubernetes.io/component=api --tail=20", "asks the namespace of the context, not shop"),
        ("kubectl -n other get pods", "asks the namespace other, not shop"),
        ("kubectl -n shop exec stalk-rabbitmq-0 -- rabbitmqctl add_vhosts x", "is in no table"),
        ('BROKER_PASSWORD="$(kubectl get secret x)"; rabbitmqctl status', "asks the namespace of the context"),
        ("submit it again; to keep results longer: values.yaml", "is no program"),
        ("autoscaling: {min: 0}   # of the pool in values.yaml", "values.yaml has no {'autoscaling'}"),
        ("workers: {default: {queue: [mail]}}", "'queue' not allowed"),
        ("workers: {default: [", "expected"),
        ("stalk topology --que mail --name x", "does not know"),
        ("configure(app, queues=[", "never closed"),
        ("helm upgrade keda keda --repo https://kedacore.github.io/charts --reuse", "unknown flag"),
        ("", "not one line"),
    ],
)
def test_a_line_that_cannot_be_pasted_is_seen(paste: str, why: str) -> None:
    assert why in "\n".join(problems(paste, "shop"))
