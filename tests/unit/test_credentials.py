"""`stalk credentials` against a real HTTPS server that behaves as the Kubernetes API server does for Secrets."""

import base64
import json
import ssl
import string
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from stalk.cli import main
from stalk.credentials import FOLDER_VARIABLE, GENERATION, Wanted, credentials

TOKEN = "a-token"
PATH = "/api/v1/namespaces/shop/secrets"
RANDOM = set(string.ascii_letters + string.digits)


class ApiServer(ThreadingHTTPServer):
    """Secrets of one namespace, with resource versions; and what goes wrong next."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.requests: list[str] = []
        self.denied: set[str] = set()
        self.faults: list[int | None] = []
        """Statuses to answer with instead, request by request; None hangs up."""
        self.meanwhile: list[tuple[str, Callable[[], object]]] = []
        """What others do just before a request of this method is served."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet: some clients hang up, by design."""

    def put(self, name: str, values: dict[str, str], **more: Any) -> dict[str, Any]:
        self.version += 1
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        metadata = {"name": name, "namespace": "shop", "resourceVersion": str(self.version)}
        self.secrets[name] = {"kind": "Secret", "metadata": metadata, "data": data} | more
        return self.secrets[name]

    def values(self, name: str) -> dict[str, str]:
        return {key: base64.b64decode(value).decode() for key, value in self.secrets[name]["data"].items()}


class Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def reply(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def refuse(self, status: int, reason: str, message: str) -> None:
        self.reply(status, {"kind": "Status", "status": "Failure", "reason": reason, "message": message})

    def do_GET(self) -> None:
        api = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        api.requests.append(self.command)
        for index, (method, act) in enumerate(api.meanwhile):
            if method == self.command:
                del api.meanwhile[index]
                act()
                break
        if api.faults:
            status = api.faults.pop(0)
            if status is None:
                self.close_connection = True
                return
            self.refuse(status, "ServiceUnavailable", "the server is not ready")
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.refuse(401, "Unauthorized", "Unauthorized")
        elif self.command in api.denied:
            user = "system:serviceaccount:shop:stalk-credentials"
            self.refuse(403, "Forbidden", f'secrets is forbidden: User "{user}" cannot do that')
        else:
            handlers: dict[str, Callable[[Any], None]] = {"GET": self.read, "POST": self.create, "PATCH": self.merge}
            handlers[self.command](json.loads(body) if body else None)

    def read(self, _: None) -> None:
        name = self.path.removeprefix(f"{PATH}/")
        if name in self.server.secrets:
            self.reply(200, self.server.secrets[name])
        else:
            self.refuse(404, "NotFound", f'secrets "{name}" not found')

    def create(self, secret: dict[str, Any]) -> None:
        assert self.path == PATH
        assert self.headers["Content-Type"] == "application/json"
        name = secret["metadata"]["name"]
        if name in self.server.secrets:
            return self.refuse(409, "AlreadyExists", f'secrets "{name}" already exists')
        assert (secret["apiVersion"], secret["kind"], secret["type"]) == ("v1", "Secret", "Opaque")
        made = self.server.put(name, {})
        made["data"] = secret["data"]
        made["metadata"] |= {
            name: secret["metadata"][name] for name in ("labels", "annotations") if name in secret["metadata"]
        }
        return self.reply(201, made)

    def merge(self, patch: dict[str, Any]) -> None:
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        name = self.path.removeprefix(f"{PATH}/")
        if name not in self.server.secrets:
            return self.refuse(404, "NotFound", f'secrets "{name}" not found')
        found = self.server.secrets[name]
        if patch["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            return self.refuse(409, "Conflict", "the object has been modified")
        if found.get("immutable"):
            return self.refuse(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set")
        found["data"] = (found["data"] or {}) | patch["data"]
        if "annotations" in patch["metadata"]:
            found["metadata"]["annotations"] = (
                found["metadata"].get("annotations", {}) | patch["metadata"]["annotations"]
            )
        self.server.version += 1
        found["metadata"]["resourceVersion"] = str(self.server.version)
        return self.reply(200, found)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def api(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "namespace").write_text("shop")
    with ApiServer(context) as server:
        monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


WANTED = Wanted("stalk", ["rabbitmq-password", "redis-password"], {"rabbitmq-username": "stalk"})


def test_created(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_again_changes_nothing(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert credentials(WANTED) is None
    before = json.dumps(api.secrets)
    assert credentials(WANTED) is None
    assert json.dumps(api.secrets) == before
    assert api.requests == ["GET", "POST", "GET"]
    kept = "Secret stalk: kept rabbitmq-password, redis-password, rabbitmq-username"
    assert capsys.readouterr().out.splitlines()[1:] == [kept]


def test_only_what_is_missing_is_added(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    api.put("stalk", {"rabbitmq-username": "mine", "rabbitmq-password": "", "other": "too"})
    assert credentials(WANTED) is None
    values = api.values("stalk")
    assert len(values.pop("redis-password")) == 32
    assert values == {"rabbitmq-username": "mine", "rabbitmq-password": "", "other": "too"}
    assert capsys.readouterr().out == "Secret stalk: added redis-password; kept rabbitmq-password, rabbitmq-username\n"


def annotations(api: ApiServer) -> dict[str, str]:
    found: dict[str, str] = api.secrets["stalk"]["metadata"].get("annotations", {})
    return found


def test_next_generation_is_added_beside_the_one_before(api: ApiServer) -> None:
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


def test_generation_that_would_lock_pods_out(api: ApiServer) -> None:
    api.put("stalk", {"a": "secret"})
    assert credentials(Wanted("stalk", ["a-3"], generation=3)) == (
        "Secret stalk holds passwords of generation 1, and 3 is more than the next: pods that still run would be "
        "locked out. Set credentials.generation to 2"
    )
    assert api.values("stalk") == {"a": "secret"}


def test_first_install_may_begin_at_any_generation(api: ApiServer) -> None:
    assert credentials(Wanted("stalk", ["a-5"], generation=5)) is None
    assert annotations(api) == {GENERATION: "5"}
    assert credentials(Wanted("stalk", ["a-6"], generation=6)) is None


def test_secret_without_data(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    api.put("stalk", {})["data"] = None
    assert credentials(Wanted("stalk", ["a"])) is None
    assert set(api.values("stalk")) == {"a"}
    assert capsys.readouterr().out == "Secret stalk: added a; kept nothing\n"


def test_somebody_creates_it_at_the_same_time(api: ApiServer) -> None:
    api.meanwhile = [("POST", lambda: api.put("stalk", {"redis-password": "theirs"}))]
    assert credentials(WANTED) is None
    assert api.requests == ["GET", "POST", "GET", "PATCH"]
    assert api.values("stalk")["redis-password"] == "theirs"
    assert set(api.values("stalk")) == {"rabbitmq-password", "redis-password", "rabbitmq-username"}


def test_somebody_adds_a_key_at_the_same_time(api: ApiServer) -> None:
    api.put("stalk", {"rabbitmq-username": "stalk"})
    theirs = {"rabbitmq-username": "stalk", "redis-password": "theirs"}
    api.meanwhile = [("PATCH", lambda: api.put("stalk", theirs))]
    assert credentials(WANTED) is None
    assert api.requests == ["GET", "PATCH", "GET", "PATCH"]
    assert api.values("stalk")["redis-password"] == "theirs"


def test_somebody_deletes_it_at_the_same_time(api: ApiServer) -> None:
    api.put("stalk", {"rabbitmq-username": "stalk"})
    api.meanwhile = [("PATCH", api.secrets.clear)]
    assert credentials(WANTED) is None
    assert api.requests == ["GET", "PATCH", "GET", "POST"]


def test_many_at_once_agree(api: ApiServer) -> None:
    problems: list[str | None] = []
    threads = [threading.Thread(target=lambda: problems.append(credentials(WANTED))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == 6 * [None]
    assert api.version == 1


def test_server_that_comes_and_goes(api: ApiServer) -> None:
    api.faults = [None, 503, 429, 500]
    assert credentials(WANTED) is None
    assert api.requests == 5 * ["GET"] + ["POST"]


def test_create_whose_answer_is_lost(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    def lose_the_answer() -> None:
        api.put("stalk", {"a": "made"})
        api.faults = [None]

    api.meanwhile = [("POST", lose_the_answer)]
    assert credentials(Wanted("stalk", ["a"])) is None
    assert api.values("stalk") == {"a": "made"}
    assert capsys.readouterr().out == "Secret stalk: kept a\n"


def test_server_that_stays_away(api: ApiServer) -> None:
    api.faults += 100 * [503]
    assert credentials(WANTED, 0.5) == (
        "Secret stalk is not complete after 0.5 s: the API server answers 503: the server is not ready"
    )


def test_nobody_listens(api: ApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_denied(api: ApiServer, method: str, verb: str) -> None:
    if method == "PATCH":
        api.put("stalk", {})
    api.denied = {method}
    assert credentials(WANTED) == (
        f"the service account may not {verb} Secret stalk in namespace shop (403: secrets is forbidden: User "
        f'"system:serviceaccount:shop:stalk-credentials" cannot do that); add to its Role: {RULES[method]}'
    )


def test_unknown_token(api: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another")
    assert credentials(WANTED) == (f"the API server does not know the token in {tmp_path / 'token'}: 401: Unauthorized")


def test_immutable_secret(api: ApiServer) -> None:
    api.put("stalk", {}, immutable=True)
    assert credentials(WANTED) == (
        "PATCH of Secret stalk in namespace shop failed with 422: "
        "data: Forbidden: field is immutable when `immutable` is set"
    )


def test_another_server_gets_no_token(api: ApiServer, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    problem = credentials(WANTED) or ""
    assert problem.startswith(f"https://127.0.0.1:{api.server_port} is not the server of {tmp_path / 'ca.crt'}: ")
    assert api.requests == []


@pytest.mark.parametrize("name", ["token", "namespace"])
def test_no_service_account(api: ApiServer, tmp_path: Path, name: str) -> None:
    (tmp_path / name).unlink()
    assert credentials(WANTED) == (
        f"{tmp_path / name} cannot be read: No such file or directory; the pod needs automountServiceAccountToken: true"
    )


def test_no_ca(api: ApiServer, tmp_path: Path) -> None:
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
