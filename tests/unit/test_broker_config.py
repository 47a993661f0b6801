"""The files that the bundled RabbitMQ and Redis start with."""

import base64
import hashlib
import json
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport.native_delayed_delivery import MAX_LEVEL, level_name

from stalk.celery.queues import DEAD_LETTER_EXCHANGE, EXCHANGE, dead_letter_queue_name
from stalk.cli import main
from stalk.rabbitmq_definitions import WORKER, definitions, password_hash
from stalk.redis_config import quoted

ODD = "p@ss/w:rd#?%é+& \"'\\ $x"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for prefix in ("RABBITMQ", "RABBITMQ_WORKER", "RABBITMQ_SCALER", "REDIS"):
        for name in ("USER", "PASSWORD", "VHOST"):
            monkeypatch.delenv(f"{prefix}_{name}", raising=False)


def unquoted(line: str) -> bytes:
    """Read a double-quoted word as `sdssplitargs` of Redis does."""
    assert line[0] == line[-1] == '"'
    found, rest = bytearray(), line[1:-1]
    while rest:
        if rest.startswith("\\x"):
            found.append(int(rest[2:4], 16))
            rest = rest[4:]
        else:
            assert rest[0] != '"', "an unescaped quote ends the word"
            rest = rest.removeprefix("\\") if rest[0] == "\\" else rest
            found.append(ord(rest[0]))
            rest = rest[1:]
    return bytes(found)


@pytest.mark.parametrize(
    ("password", "line"),
    [
        ("plain123", '"plain123"'),
        ("two words", '"two words"'),
        ("#no comment", '"#no comment"'),
        ('say "hi"', r'"say \"hi\""'),
        (r"back\slash\n", r'"back\\slash\\n"'),
        ("it's", '"it\'s"'),
        ("é", r'"\xc3\xa9"'),
        ("line\r\nend\t", r'"line\x0d\x0aend\x09"'),
    ],
)
def test_redis_password_is_quoted(password: str, line: str) -> None:
    assert quoted(password.encode()) == line


@given(st.binary())
def test_redis_reads_back_any_password(password: bytes) -> None:
    line = quoted(password)
    assert line.isascii()
    assert line.isprintable()
    assert unquoted(line) == password


def test_redis_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", ODD)
    path = tmp_path / "redis.conf"
    path.write_text("an earlier one")
    assert main(["redis-config", "--output", str(path)]) == 0
    assert path.read_text() == f"user default on ~* &* +@all #{sha256(ODD)}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert capsys.readouterr().out == f"wrote {path}\n"
    assert list(tmp_path.iterdir()) == [path]


def sha256(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def test_redis_config_with_the_passwords_of_other_generations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, password in (("", "new"), ("PREVIOUS_", "old"), ("NEXT_", "new")):
        monkeypatch.setenv(f"REDIS_{name}PASSWORD", password)
    path = tmp_path / "redis.conf"
    assert main(["redis-config", "--output", str(path)]) == 0
    assert path.read_text() == f"user default on ~* &* +@all #{sha256('new')} #{sha256('old')}\n"


def test_redis_config_without_a_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "redis.conf"
    assert main(["redis-config", "--output", str(path)]) == 1
    assert capsys.readouterr().err == (
        "stalk redis-config: set REDIS_PASSWORD: the password that clients of Redis will need\n"
    )
    assert not path.exists()


@pytest.mark.parametrize("command", ["redis-config", "rabbitmq-definitions"])
def test_folder_that_is_not_there(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("REDIS_PASSWORD", "RABBITMQ_USER", "RABBITMQ_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    path = tmp_path / "missing" / "file"
    assert main([command, "--output", str(path)]) == 1
    assert capsys.readouterr().err == f"stalk {command}: cannot write {path}: No such file or directory\n"


def test_rabbitmq_password_hash_is_the_one_of_its_documentation() -> None:
    # https://www.rabbitmq.com/docs/passwords, «Computing Password Hash»: salt 908D C60A, password test12
    expected = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    assert password_hash(b"test12", bytes.fromhex("908DC60A")) == expected


def check_password(hashed: str, password: str) -> bool:
    both = base64.b64decode(hashed)
    return hashlib.sha256(both[:4] + password.encode()).digest() == both[4:]


def test_rabbitmq_definitions_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (
        ("RABBITMQ_USER", "stalk"),
        ("RABBITMQ_PASSWORD", ODD),
        ("RABBITMQ_WORKER_USER", "worker"),
        ("RABBITMQ_WORKER_PASSWORD", "third"),
        ("RABBITMQ_WORKER_WRITE", "shop|shop-.*"),
        ("RABBITMQ_SCALER_USER", "keda"),
        ("RABBITMQ_SCALER_PASSWORD", "other"),
        ("RABBITMQ_VHOST", "a/b"),
    ):
        monkeypatch.setenv(name, value)
    path = tmp_path / "definitions.json"
    assert main(["rabbitmq-definitions", "--output", str(path)]) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert capsys.readouterr().out == f"wrote {path}\n"
    text = path.read_text()
    assert ODD not in text
    written = json.loads(text)
    hashes = {user["name"]: user.pop("password_hash") for user in written["users"]}
    sha256 = {"hashing_algorithm": "rabbit_password_hashing_sha256"}
    assert written == {
        "vhosts": [{"name": "a/b"}],
        "users": [
            {"name": "keda", "tags": ["monitoring"]} | sha256,
            {"name": "stalk", "tags": []} | sha256,
            {"name": "worker", "tags": []} | sha256,
        ],
        "permissions": [
            {"user": "keda", "vhost": "a/b", "configure": "^$", "write": "^$", "read": "^$"},
            {"user": "stalk", "vhost": "a/b", "configure": ".*", "write": ".*", "read": ".*"},
            {
                "user": "worker",
                "vhost": "a/b",
                "configure": WORKER.configure,
                "write": f"{WORKER.write}|^(shop|shop-.*)$",
                "read": WORKER.read,
            },
        ],
    }
    assert check_password(hashes["stalk"], ODD)
    assert check_password(hashes["keda"], "other")


def test_rabbitmq_definitions_differ_by_salt_alone() -> None:
    environment = {"RABBITMQ_USER": "stalk", "RABBITMQ_PASSWORD": "secret"}
    first, second = definitions(environment), definitions(environment)
    assert first["vhosts"] == [{"name": "/"}]
    assert first["users"][0].pop("password_hash") != second["users"][0].pop("password_hash")
    assert first == second


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("RABBITMQ_USER", "set RABBITMQ_USER: RabbitMQ starts with"),
        ("RABBITMQ_PASSWORD", "set RABBITMQ_PASSWORD: RabbitMQ starts with"),
        ("RABBITMQ_SCALER_PASSWORD", "set RABBITMQ_SCALER_PASSWORD: RabbitMQ starts with"),
    ],
)
def test_rabbitmq_definitions_need_logins(missing: str, problem: str) -> None:
    names = ("RABBITMQ_USER", "RABBITMQ_PASSWORD", "RABBITMQ_SCALER_USER", "RABBITMQ_SCALER_PASSWORD")
    with pytest.raises(ValueError, match=problem):
        definitions({name: f"a {name}" for name in names if name != missing})


def test_rabbitmq_scaler_is_another_user() -> None:
    both = {f"RABBITMQ_{name}": "same" for name in ("USER", "PASSWORD", "SCALER_USER", "SCALER_PASSWORD")}
    with pytest.raises(ValueError, match="RABBITMQ_SCALER_USER is same, as another user is; give each a name"):
        definitions(both)


@pytest.mark.parametrize(
    ("passwords", "valid"),
    [
        ({}, None),
        ({"PREVIOUS": "old"}, "old"),
        ({"NEXT": "rolled back"}, "rolled back"),
        ({"PREVIOUS": "old", "NEXT": "rolled back"}, "rolled back"),
    ],
    ids=str,
)
def test_rabbitmq_login_of_another_generation(passwords: dict[str, str], valid: str | None) -> None:
    environment = {"RABBITMQ_USER": "stalk", "RABBITMQ_PASSWORD": "new", "RABBITMQ_OTHER_USER": "stalk-even"}
    found = definitions(environment | {f"RABBITMQ_{name}_PASSWORD": value for name, value in passwords.items()})
    hashes = {user["name"]: user["password_hash"] for user in found["users"]}
    assert check_password(hashes["stalk"], "new")
    assert set(hashes) == {"stalk", *(["stalk-even"] if valid else [])}
    assert valid is None or check_password(hashes["stalk-even"], valid)
    rights = [{**each, "user": ""} for each in found["permissions"]]
    assert all(each == rights[0] for each in rights)


def test_rabbitmq_pattern_that_is_none() -> None:
    logins = {f"RABBITMQ_{name}": name for name in ("USER", "PASSWORD", "WORKER_USER", "WORKER_PASSWORD")}
    with pytest.raises(ValueError, match="RABBITMQ_WORKER_READ is no regular expression: missing"):
        definitions(logins | {"RABBITMQ_WORKER_READ": "shop("})


MAILBOX = "default@stalk-worker-default-5c9-x.celery.pidbox"
EXCHANGES = {EXCHANGE.name, "celeryev", "celery.pidbox", "reply.celery.pidbox", level_name(MAX_LEVEL)}
FOREIGN = {dead_letter_queue_name("mail"), DEAD_LETTER_EXCHANGE.name, level_name(0), "amq.default"}


def test_rabbitmq_rights_of_a_worker_are_those_that_celery_needs() -> None:
    """The names are Celery's and Stalk's own; tests/integration/test_rights.py asks RabbitMQ itself."""

    def named(pattern: str, names: set[str]) -> set[str]:
        return {name for name in names if re.search(pattern, name)}

    names = {"mail", MAILBOX} | EXCHANGES | FOREIGN
    assert named(WORKER.configure, names) == {MAILBOX, "celeryev", "celery.pidbox", "reply.celery.pidbox"}
    assert named(WORKER.write, names) == {MAILBOX, level_name(0)} | EXCHANGES
    assert named(WORKER.read, names) == names - FOREIGN - {level_name(MAX_LEVEL)} | {"amq.default"}
