"""`stalk flower`: what the started Celery gets, seen by a stand-in for it that prints its words and its environment."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flower.options import default_options  # type: ignore[import-untyped]

STALK = Path(sys.executable).parent / "stalk"
LOGIN = {"FLOWER_USER": "ann", "FLOWER_PASSWORD": "p@ss/w:rd#?%+& \"'\\ $x"}
BROKER = {"BROKER_USER": "stalk", "BROKER_PASSWORD": "b@r/k:r é,%"}

Flower = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def flower(tmp_path: Path) -> Flower:
    celery = tmp_path / "celery"
    celery.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "print(json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ), 'pid': os.getpid()}))\n"
    )
    celery.chmod(0o755)

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWER_", "BROKER_"))}
        env = keep | {"PATH": f"{tmp_path}:{keep['PATH']}"} | variables
        command = [str(STALK), "flower", "-A", "app.worker.celery_app", *words]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = process.communicate(timeout=60)
        if process.returncode == 0:
            assert json.loads(out)["pid"] == process.pid, "Celery takes the place of the wrapper"
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    return run


def started(done: subprocess.CompletedProcess[str]) -> tuple[list[str], dict[str, str]]:
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    return seen["argv"], seen["env"]


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("stalk flower: ").rstrip("\n")


def test_passwords_go_by_environment_alone(flower: Flower) -> None:
    argv, env = started(flower("--port", "5556", "--max_tasks=1000", "--url-prefix=flower", **LOGIN, **BROKER))
    assert argv == ["-A", "app.worker.celery_app", "flower", "--port=5556", "--max_tasks=1000", "--url-prefix=flower"]
    assert env["FLOWER_BASIC_AUTH"] == f"{LOGIN['FLOWER_USER']}:{LOGIN['FLOWER_PASSWORD']}"
    assert "FLOWER_BROKER_API" not in env
    assert not {"FLOWER_USER", "FLOWER_PASSWORD"} & set(env)
    assert env["BROKER_PASSWORD"] == BROKER["BROKER_PASSWORD"]
    options = {name for name in env if name.startswith("FLOWER_")}
    assert all(name.removeprefix("FLOWER_").lower() in default_options for name in options), "Flower reads them"


def test_other_options_are_left_alone(flower: Flower) -> None:
    argv, env = started(flower(**LOGIN, FLOWER_PURGE_OFFLINE_WORKERS="300"))
    assert argv[-1] == "--port=5555"
    assert env["FLOWER_PURGE_OFFLINE_WORKERS"] == "300"


def test_passwords_from_files(flower: Flower, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("from a file\n")
    _, env = started(flower(FLOWER_USER="ann", FLOWER_PASSWORD_FILE=str(path)))
    assert env["FLOWER_BASIC_AUTH"] == "ann:from a file"


def test_ready_made_basic_auth(flower: Flower) -> None:
    _, env = started(flower(FLOWER_BASIC_AUTH="ann:a:b"))
    assert env["FLOWER_BASIC_AUTH"] == "ann:a:b"


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("http://rabbitmq:15672", "http://rabbitmq:15672/api/"),
        ("https://rabbitmq.example/", "https://rabbitmq.example/api/"),
        ("http://rabbitmq:15672/api/", "http://rabbitmq:15672/api/"),
        ("http://rabbitmq:15672/behind/a/proxy", "http://rabbitmq:15672/behind/a/proxy/api/"),
        ("http://[::1]:15672", "http://[::1]:15672/api/"),
    ],
)
def test_broker_api_without_a_login_means_the_brokers(flower: Flower, url: str, api: str) -> None:
    _, env = started(flower(**LOGIN, **BROKER, BROKER_MANAGEMENT_URL=url))
    assert env["FLOWER_BROKER_API"] == api


def test_broker_api_with_the_brokers_login_said_twice(flower: Flower) -> None:
    same = {f"BROKER_MANAGEMENT_{name.removeprefix('BROKER_')}": value for name, value in BROKER.items()}
    _, env = started(flower(**LOGIN, **BROKER, **same, BROKER_MANAGEMENT_URL="http://rabbitmq:15672"))
    assert env["FLOWER_BROKER_API"] == "http://rabbitmq:15672/api/"


def test_broker_api_with_its_own_login(flower: Flower) -> None:
    own = {"BROKER_MANAGEMENT_USER": "watcher", "BROKER_MANAGEMENT_PASSWORD": "aB3-._~!$&'()*+,;="}
    _, env = started(flower(**LOGIN, **BROKER, **own, BROKER_MANAGEMENT_URL="http://rabbitmq:15672"))
    assert env["FLOWER_BROKER_API"] == "http://watcher:aB3-._~!$&'()*+,;=@rabbitmq:15672/api/"
    assert not set(own) & set(env)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {},
            "Flower can stop and start tasks and does not run without a login; set FLOWER_USER and FLOWER_PASSWORD",
        ),
        (
            {"FLOWER_USER": "ann"},
            "Flower can stop and start tasks and does not run without a login; set FLOWER_PASSWORD",
        ),
        (
            {"FLOWER_USER": "a:b", "FLOWER_PASSWORD": "x"},
            "FLOWER_USER has a colon, which ends a user name in HTTP basic authentication; choose another",
        ),
        (
            {"FLOWER_USER": "ann", "FLOWER_PASSWORD": "a,b"},
            "FLOWER_PASSWORD has a comma, at which Flower cuts it in two; choose another",
        ),
        (
            {"FLOWER_USER": "ann", "FLOWER_PASSWORD": "é"},
            "FLOWER_PASSWORD has a character that is not ASCII, which Flower cannot compare; choose another",
        ),
        (
            {"FLOWER_USER": "ann", "FLOWER_PASSWORD": "a\n"},
            "FLOWER_PASSWORD has a control character or a line end; choose another",
        ),
        (
            {"FLOWER_BASIC_AUTH": "a:b,c:d"},
            "FLOWER_BASIC_AUTH has a comma, at which Flower cuts it in two; choose another",
        ),
        ({"FLOWER_BASIC_AUTH": "ann"}, "FLOWER_BASIC_AUTH is not user:password"),
        (
            LOGIN | {"FLOWER_BASIC_AUTH": "ann:x"},
            "FLOWER_BASIC_AUTH is set beside FLOWER_USER or FLOWER_PASSWORD; keep one or the other",
        ),
        (
            LOGIN | {"BROKER_MANAGEMENT_URL": "rabbitmq:15672"},
            "BROKER_MANAGEMENT_URL is not an http:// or https:// URL such as http://rabbitmq:15672",
        ),
        (
            LOGIN | {"BROKER_MANAGEMENT_URL": "http://rabbitmq:port"},
            "BROKER_MANAGEMENT_URL is not an http:// or https:// URL such as http://rabbitmq:15672",
        ),
        (
            LOGIN | {"BROKER_MANAGEMENT_URL": "http://a:b@rabbitmq:15672"},
            "BROKER_MANAGEMENT_URL has a login; set BROKER_MANAGEMENT_USER and BROKER_MANAGEMENT_PASSWORD instead",
        ),
        (
            LOGIN | {"BROKER_MANAGEMENT_URL": "http://rabbitmq:15672", "BROKER_MANAGEMENT_USER": "x"},
            "BROKER_MANAGEMENT_USER and BROKER_MANAGEMENT_PASSWORD go together; set both or neither",
        ),
        (
            LOGIN
            | {"BROKER_MANAGEMENT_URL": "http://rabbitmq:15672"}
            | {"BROKER_MANAGEMENT_USER": "x", "BROKER_MANAGEMENT_PASSWORD": "a/b"},
            "BROKER_MANAGEMENT_PASSWORD has a character that Flower cannot send to the management API; "
            "choose another of letters, digits and -._~!$&'()*+,;=",
        ),
    ],
)
def test_refusals(flower: Flower, variables: dict[str, str], problem: str) -> None:
    assert refused(flower(**variables)) == problem


@pytest.mark.parametrize(
    ("flag", "instead"),
    [
        (
            "--basic-auth=a:b",
            "--basic-auth would show a password in the process list; set FLOWER_USER and FLOWER_PASSWORD",
        ),
        (
            "--broker_api=http://a:b@c/api/",
            "--broker_api would show a password in the process list; set BROKER_MANAGEMENT_URL",
        ),
    ],
)
def test_passwords_as_arguments_are_refused(flower: Flower, flag: str, instead: str) -> None:
    assert refused(flower(flag, **LOGIN)) == instead


def test_celery_that_is_not_there(flower: Flower, tmp_path: Path) -> None:
    (tmp_path / "celery").unlink()
    problem = refused(flower(**LOGIN, PATH=str(tmp_path)))
    assert problem == "cannot start celery: No such file or directory; is it installed, and on PATH?"


CA = str(Path(__file__).resolve())
"""Any file: Flower reads it, not the wrapper."""
HTTPS = {"BROKER_MANAGEMENT_URL": "https://rabbitmq:15671", "BROKER_TLS_CA": CA}


@pytest.mark.parametrize(
    ("variables", "trusted"),
    [
        (HTTPS, CA),
        (HTTPS | {"SSL_CERT_FILE": "/mine.pem"}, "/mine.pem"),
        (HTTPS | {"BROKER_MANAGEMENT_URL": "http://rabbitmq:15672"}, None),
        ({"BROKER_MANAGEMENT_URL": "https://rabbitmq:15671"}, None),
    ],
    ids=["private CA", "somebody's own", "plain", "system's CAs"],
)
def test_the_brokers_ca_is_trusted_for_its_management_api(
    flower: Flower, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], trusted: str | None
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    _, env = started(flower(**LOGIN, **BROKER, **variables))
    assert env.get("SSL_CERT_FILE") == trusted
