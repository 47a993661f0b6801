"""`stalk credentials` against a real HTTPS server that behaves as the Kubernetes API server does for Secrets."""

import base64
import json
import string
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from kube.api_server import Reply, Request, ServedApi, refused
from stalk.cli import main
from stalk.credentials import GENERATION, Wanted, credentials

PATH = "/api/v1/namespaces/shop/secrets"
RANDOM = set(string.ascii_letters + string.digits)


class ServedSecrets(ServedApi):
    """Secrets of one namespace, with resource versions."""

    resource = "secrets"

    def __init__(self, *args: Any) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.version = 0
        super().__init__(*args)

    def put(self, name: str, values: dict[str, str], **more: Any) -> dict[str, Any]:
        self.version += 1
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        metadata = {"name": name, "namespace": "shop", "resourceVersion": str(self.version)}
        self.secrets[name] = {"kind": "Secret", "metadata": metadata, "data": data} | more
        return self.secrets[name]

    def values(self, name: str) -> dict[str, str]:
        return {key: base64.b64decode(value).decode() for key, value in self.secrets[name]["data"].items()}

    def answer(self, request: Request) -> Reply:
        handlers: dict[str, Callable[[str, Any], Reply]] = {
            "GET": self.read,
            "POST": self.create,
            "PATCH": self.merge,
        }
        return handlers[request.method](request.path, request.body)

    def read(self, path: str, _: None) -> Reply:
        name = path.removeprefix(f"{PATH}/")
        if name in self.secrets:
            return Reply(200, self.secrets[name])
        return refused(404, "NotFound", f'secrets "{name}" not found')

    def create(self, path: str, secret: dict[str, Any]) -> Reply:
        assert path == PATH
        name = secret["metadata"]["name"]
        if name in self.secrets:
            return refused(409, "AlreadyExists", f'secrets "{name}" already exists')
        assert (secret["apiVersion"], secret["kind"], secret["type"]) == ("v1", "Secret", "Opaque")
        made = self.put(name, {})
        made["data"] = secret["data"]
        made["metadata"] |= {
            name: secret["metadata"][name] for name in ("labels", "annotations") if name in secret["metadata"]
        }
        return Reply(201, made)

    def merge(self, path: str, patch: dict[str, Any]) -> Reply:
        name = path.removeprefix(f"{PATH}/")
        if name not in self.secrets:
            return refused(404, "NotFound", f'secrets "{name}" not found')
        found = self.secrets[name]
        if patch["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            return refused(409, "Conflict", "the object has been modified")
        if found.get("immutable"):
            return refused(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set")
        found["data"] = (found["data"] or {}) | patch["data"]
        if "annotations" in patch["metadata"]:
            found["metadata"]["annotations"] = (
                found["metadata"].get("annotations", {}) | patch["metadata"]["annotations"]
            )
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        return Reply(200, found)


@pytest.fixture
def api(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedSecrets]:
    with ServedSecrets(tmp_path, authority).in_this_process(monkeypatch) as server:
        yield server


WANTED = Wanted("stalk", ["rabbitmq-password", "redis-password"], {"rabbitmq-username": "stalk"})


def test_created(api: ServedSecrets, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--key", "rabbitmq-password", "--key", "redis-password", "--literal", "rabbitmq-username=a=b"]
    labels = ["--label", "app.kubernetes.io/name=stalk", "--label", "empty="]
    assert main(["credentials", "--secret", "stalk", *words, *labels, "--length", "40"]) == 0
    values = api.values("stalk")
    assert values.pop("rabbitmq-username") == "a=b"
    assert set(values) == {"rabbitmq-password", "redis-password"}
    assert all(len(value) == 40 and set(value) <= RANDOM for value in values.values())
    assert len(set(values.values())) == 2
    assert api.secrets["stalk"]["metadata"]["labels"] == {"app.kubernetes.io/name": "stalk", "empty": ""}
    said = capsys.readouterr()
    assert said.out == "Secret stalk: created with rabbitmq-password, redis-password, rabbitmq-username\n"
    assert said.err == ""


def test_again_changes_nothing(api: ServedSecrets, capsys: pytest.CaptureFixture[str]) -> None:
    assert credentials(WANTED) is None
    before = json.dumps(api.secrets)
    assert credentials(WANTED) is None
    assert json.dumps(api.secrets) == before
    assert api.requests == ["GET", "POST", "GET"]
    kept = "Secret stalk: kept rabbitmq-password, redis-password, rabbitmq-username"
    assert capsys.readouterr().out.splitlines()[1:] == [kept]


def test_only_what_is_missing_is_added(api: ServedSecrets, capsys: pytest.CaptureFixture[str]) -> None:
    api.put("stalk", {"rabbitmq-username": "mine", "rabbitmq-password": "", "other": "too"})
    assert credentials(WANTED) is None
    values = api.values("stalk")
    assert len(values.pop("redis-password")) == 32
    assert values == {"rabbitmq-username": "mine", "rabbitmq-password": "", "other": "too"}
    assert capsys.readouterr().out == "Secret stalk: added redis-password; kept rabbitmq-password, rabbitmq-username\n"


def annotations(api: ServedSecrets) -> dict[str, str]:
    found: dict[str, str] = api.secrets["stalk"]["metadata"].get("annotations", {})
    return found


def test_next_generation_is_added_beside_the_one_before(api: ServedSecrets) -> None:
    assert credentials(Wanted("stalk", ["a"])) is None
    first = api.values("stalk")
    assert GENERATION not in annotations(api)
    for generation in (2, 3):
        key = f"a-{generation}"
        for _ in range(2):
            assert credentials(Wanted("stalk", [key], generation=generation)) is None
        assert annotations(api) == {GENERATION: str(generation)}
    values = api.values("stalk")
    assert values["a"] == first["a"]
    assert len({values["a"], values["a-2"], values["a-3"]}) == 3
    assert credentials(Wanted("stalk", ["a-2"], generation=2)) is None, "a rollback by upgrade"
    assert credentials(Wanted("stalk", ["a-2", "b-2"], generation=2)) is None
    assert annotations(api) == {GENERATION: "3"}
    api.secrets["stalk"]["data"].pop("b-2")
    assert (api.values("stalk"), annotations(api)) == (values, {GENERATION: "3"})


def test_generation_that_would_lock_pods_out(api: ServedSecrets) -> None:
    api.put("stalk", {"a": "secret"})
    assert credentials(Wanted("stalk", ["a-3"], generation=3)) == (
        "Secret stalk holds passwords of generation 1, and 3 is more than the next: pods that still run would be "
        "locked out. Set credentials.generation to 2"
    )
    assert api.values("stalk") == {"a": "secret"}


def test_first_install_may_begin_at_any_generation(api: ServedSecrets) -> None:
    assert credentials(Wanted("stalk", ["a-5"], generation=5)) is None
    assert annotations(api) == {GENERATION: "5"}
    assert credentials(Wanted("stalk", ["a-6"], generation=6)) is None


def test_secret_without_data(api: ServedSecrets, capsys: pytest.CaptureFixture[str]) -> None:
    api.put("stalk", {})["data"] = None
    assert credentials(Wanted("stalk", ["a"])) is None
    assert set(api.values("stalk")) == {"a"}
    assert capsys.readouterr().out == "Secret stalk: added a; kept nothing\n"


def test_somebody_creates_it_at_the_same_time(api: ServedSecrets) -> None:
    api.meanwhile = [("POST", lambda: api.put("stalk", {"redis-password": "theirs"}))]
    assert credentials(WANTED) is None
    assert api.requests == ["GET", "POST", "GET", "PATCH"]
    assert api.values("stalk")["redis-password"] == "theirs"
    assert set(api.values("stalk")) == {"rabbitmq-password", "redis-password", "rabbitmq-username"}


def test_somebody_adds_a_key_at_the_same_time(api: ServedSecrets) -> None:
    api.put("stalk", {"rabbitmq-username": "stalk"})
    theirs = {"rabbitmq-username": "stalk", "redis-password": "theirs"}
    api.meanwhile = [("PATCH", lambda: api.put("stalk", theirs))]
    assert credentials(WANTED) is None
    assert api.requests == ["GET", "PATCH", "GET", "PATCH"]
    assert api.values("stalk")["redis-password"] == "theirs"


def test_somebody_deletes_it_at_the_same_time(api: ServedSecrets) -> None:
    api.put("stalk", {"rabbitmq-username": "stalk"})
    api.meanwhile = [("PATCH", api.secrets.clear)]
    assert credentials(WANTED) is None
    assert api.requests == ["GET", "PATCH", "GET", "POST"]


def test_many_at_once_agree(api: ServedSecrets) -> None:
    problems: list[str | None] = []
    threads = [threading.Thread(target=lambda: problems.append(credentials(WANTED))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == 6 * [None]
    assert api.version == 1


def test_server_that_comes_and_goes(api: ServedSecrets) -> None:
    api.faults = [None, 503, 429, 500]
    assert credentials(WANTED) is None
    assert api.requests == 5 * ["GET"] + ["POST"]


def test_create_whose_answer_is_lost(api: ServedSecrets, capsys: pytest.CaptureFixture[str]) -> None:
    def lose_the_answer() -> None:
        api.put("stalk", {"a": "made"})
        api.faults = [None]

    api.meanwhile = [("POST", lose_the_answer)]
    assert credentials(Wanted("stalk", ["a"])) is None
    assert api.values("stalk") == {"a": "made"}
    assert capsys.readouterr().out == "Secret stalk: kept a\n"


def test_server_that_stays_away(api: ServedSecrets) -> None:
    api.faults += 100 * [503]
    assert credentials(WANTED, 0.5) == (
        "Secret stalk is not complete after 0.5 s: the API server answers 503: the server is not ready"
    )


def test_nobody_listens(
    api: ServedSecrets, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    assert main(["credentials", "--secret", "stalk", "--key", "a", "--timeout", "0.3"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "stalk credentials: Secret stalk is not complete after 0.3 s: no answer from https://127.0.0.1:1: "
    )
    assert said.count("\n") == 1


RULES = {
    "GET": '{apiGroups: [""], resources: [secrets], resourceNames: [stalk], verbs: [get, patch]}',
    "POST": '{apiGroups: [""], resources: [secrets], verbs: [create]}',
    "PATCH": '{apiGroups: [""], resources: [secrets], resourceNames: [stalk], verbs: [get, patch]}',
}


@pytest.mark.parametrize(("method", "verb"), [("GET", "get"), ("POST", "create"), ("PATCH", "patch")])
def test_denied(api: ServedSecrets, method: str, verb: str) -> None:
    if method == "PATCH":
        api.put("stalk", {})
    api.denied = {method}
    assert credentials(WANTED) == (
        f"the service account may not {verb} Secret stalk in namespace shop (403: secrets is forbidden: User "
        f'"system:serviceaccount:shop:stalk" cannot do that); add to its Role: {RULES[method]}'
    )


def test_unknown_token(api: ServedSecrets, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another")
    assert credentials(WANTED) == (f"the API server does not know the token in {tmp_path / 'token'}: 401: Unauthorized")


def test_immutable_secret(api: ServedSecrets) -> None:
    api.put("stalk", {}, immutable=True)
    assert credentials(WANTED) == (
        "PATCH of Secret stalk in namespace shop failed with 422: "
        "data: Forbidden: field is immutable when `immutable` is set"
    )


def test_another_server_gets_no_token(api: ServedSecrets, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    problem = credentials(WANTED) or ""
    assert problem.startswith(f"https://127.0.0.1:{api.server_port} is not the server of {tmp_path / 'ca.crt'}: ")
    assert api.requests == []


@pytest.mark.parametrize("name", ["token", "namespace"])
def test_no_service_account(api: ServedSecrets, tmp_path: Path, name: str) -> None:
    (tmp_path / name).unlink()
    assert credentials(WANTED) == (
        f"{tmp_path / name} cannot be read: No such file or directory; the pod needs automountServiceAccountToken: true"
    )


def test_no_ca(api: ServedSecrets, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").unlink()
    assert credentials(WANTED) == f"{tmp_path / 'ca.crt'} cannot be read: No such file or directory"


def test_not_in_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert credentials(WANTED) == (
        "this runs in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"
    )


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (Wanted("s", []), "name what the Secret holds: --key KEY (random) or --literal KEY=VALUE"),
        (Wanted("s", ["a"], {"a": "b"}), "a is both a --key and a --literal; keep one of them"),
        (Wanted("s", ["a"], length=8), "--length 8 is too short; use 16 or more"),
    ],
)
def test_arguments_that_make_no_sense(wanted: Wanted, problem: str) -> None:
    assert credentials(wanted) == problem


def test_literal_without_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["credentials", "--secret", "s", "--literal", "a"])
    assert stop.value.code == 2
    assert "argument --literal: 'a' is not NAME=VALUE" in capsys.readouterr().err


def test_only_flower_takes_other_peoples_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["credentials", "--secret", "s", "--keys", "a"])
    assert stop.value.code == 2
    assert "unrecognized arguments: --keys a" in capsys.readouterr().err
