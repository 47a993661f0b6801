"""Which broker user each component has, and that the broker knows it."""

from itertools import pairwise
from typing import Any

import pytest

from charting.cases import CASES
from charting.objects import component, containers, pods
from charting.rendering import Object, Values, merged, render

Login = tuple[str, str, str]
"""User name, Secret, key."""
OTHERS = {"api", "beat", "doctor", "flower", "topology"}
FEW_RIGHTS = {"steward", "worker"}
ALL: dict[str, Any] = {"beat": {"enabled": True}}


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}


def login(env: dict[str, Any], user: str, password: str) -> Login:
    secret = env[password]["secretKeyRef"]
    return env[user], secret["name"], secret["key"]


def scaler(objects: list[Object]) -> Login:
    """Return the login that KEDA reads queue lengths with."""
    (secret,) = (thing for thing in objects if thing["kind"] == "Secret" and component(thing) == "scaler")
    (authentication,) = (thing for thing in objects if thing["kind"] == "TriggerAuthentication")
    found = {each["parameter"]: each for each in authentication["spec"]["secretTargetRef"]}
    return secret["stringData"]["username"], found["password"]["name"], found["password"]["key"]


def redis_passwords(objects: list[Object]) -> tuple[set[str], set[str]]:
    """Return the keys that the bundled Redis takes, and those that its clients use."""
    (server,) = (pod for pod in pods(objects) if component(pod.owner) == "redis")
    taken = environment(containers(server)[0]).values()
    clients = [environment(each) for pod in pods(objects) for each in pod.spec["containers"]]
    given = [env[name] for env in clients for name in ("REDIS_PASSWORD", "REDISCLI_AUTH") if name in env]
    keys = [{value["secretKeyRef"]["key"] for value in values} for values in (taken, given)]
    return keys[0], keys[1]


def used(objects: list[Object]) -> dict[str, Login]:
    """Return the broker login of each component."""
    found = {}
    for pod in pods(objects):
        for container in pod.spec["containers"]:
            env = environment(container)
            if "BROKER_USER" in env:
                found[component(pod.owner)] = login(env, "BROKER_USER", "BROKER_PASSWORD")
    return found


def known(objects: list[Object]) -> set[Login]:
    """Return the logins that the bundled broker starts with, if the Secret has all the keys that it asks for."""
    (broker,) = (pod for pod in pods(objects) if component(pod.owner) == "rabbitmq")
    env = environment(next(each for each in containers(broker) if each["name"] == "definitions"))
    prefixes = [name.removesuffix("_OTHER_USER") for name in env if name.endswith("_OTHER_USER")]
    found = {login(env, f"{prefix}_USER", f"{prefix}_PASSWORD") for prefix in prefixes}
    for prefix in prefixes:
        for other in ("PREVIOUS", "NEXT"):
            if f"{prefix}_{other}_PASSWORD" in env:
                found.add(login(env, f"{prefix}_OTHER_USER", f"{prefix}_{other}_PASSWORD"))
    return found


def bundled(values: Values) -> bool:
    return bool(values.get("rabbitmq", {}).get("enabled", True))


@pytest.mark.parametrize("case", [name for name, values in CASES.items() if bundled(values)])
def test_the_broker_knows_every_login_that_is_used(case: str) -> None:
    objects = render(CASES[case])
    assert set(used(objects).values()) <= known(objects)


def test_workers_have_a_user_of_their_own_and_the_others_share_one() -> None:
    found = used(render(ALL))
    app: Login = ("stalk", "demo-stalk-credentials", "rabbitmq-password")
    worker: Login = ("stalk-worker", "demo-stalk-credentials", "rabbitmq-worker-password")
    assert found == dict.fromkeys(OTHERS, app) | dict.fromkeys(FEW_RIGHTS, worker)


def test_workers_that_declare_are_the_apps_user() -> None:
    objects = render({"topology": {"enabled": False}})
    assert used(objects)["worker"] == used(objects)["api"]
    assert {user.removesuffix("-even") for user, _, _ in known(objects)} == {"stalk", "stalk-monitor"}


def test_more_rights_are_alternatives_of_one_pattern() -> None:
    objects = render({"rabbitmq": {"auth": {"workerRights": {"write": ["shop", "shop-.*"]}}}})
    (broker,) = (pod for pod in pods(objects) if component(pod.owner) == "rabbitmq")
    env = environment(containers(broker)[0])
    assert env["RABBITMQ_WORKER_WRITE"] == "shop|shop-.*"
    assert "RABBITMQ_WORKER_READ" not in env


def test_a_pool_may_have_a_login_of_its_own_on_a_broker_of_yours() -> None:
    own = {"valueFrom": {"secretKeyRef": {"name": "shop-worker", "key": "password"}}}
    values = {"workerDefaults": {"extraEnv": {"BROKER_USER": "shop-worker", "BROKER_PASSWORD": own}}}
    found = used(render(merged(CASES["external-passwords-in-values"], values)))
    assert found["worker"] == ("shop-worker", "shop-worker", "password")
    assert found["api"][0] == "stalk"


def generation(number: int, **more: Any) -> list[Object]:
    keda = {"workers": {"default": {"autoscaling": {"mode": "keda"}}}}
    return render(merged(ALL, keda, {"credentials": {"generation": number}}, more))


@pytest.mark.parametrize("more", [{}, {"rabbitmq": {"auth": {"existingSecret": "mine"}}}], ids=["generated", "own"])
@pytest.mark.parametrize("number", [1, 2, 3, 10])
def test_the_generation_before_and_the_next_are_valid_too(number: int, more: dict[str, Any]) -> None:
    objects, after = generation(number, **more), generation(number + 1, **more)
    ours, theirs = ({*used(each).values(), scaler(each)} for each in (objects, after))
    assert not {user for user, _, _ in ours} & {user for user, _, _ in theirs}, "two users take turns"
    assert not {key for _, _, key in ours} & {key for _, _, key in theirs}
    assert ours | theirs <= known(objects), "a rollback from the next one"
    assert ours | theirs <= known(after), "the pods of the one before"
    assert not ours & known(generation(number + 2, **more))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_redis_takes_the_passwords_before_and_after(number: int) -> None:
    (taken, ours), (taken_after, theirs) = (redis_passwords(generation(each)) for each in (number, number + 1))
    assert len(ours) == len(theirs) == 1
    assert ours != theirs
    assert ours | theirs <= taken & taken_after
    assert not ours & redis_passwords(generation(number + 2))[0]


def test_the_credentials_job_makes_this_generation_alone() -> None:
    (job,) = (pod for pod in pods(generation(2)) if component(pod.owner) == "credentials")
    words = job.spec["containers"][0]["command"]
    keys = [after for word, after in pairwise(words) if word == "--key"]
    names = ("flower", "rabbitmq-monitor", "rabbitmq", "rabbitmq-worker", "redis")
    assert sorted(keys) == sorted(f"{name}-password-2" for name in names)
    assert words[words.index("--generation") + 1] == "2"


def test_another_generation_restarts_every_pod_that_has_a_password() -> None:
    def templates(number: int) -> dict[str, Any]:
        found = pods(generation(number))
        return {component(pod.owner): pod.spec for pod in found if pod.owner["kind"] in ("Deployment", "StatefulSet")}

    before, after = templates(1), templates(2)
    assert {name for name in before if before[name] != after[name]} == set(before)
