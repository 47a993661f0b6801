"""Settings from the environment and from mounted files."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from app.settings import Settings
from stalk.settings import ConnectionSettings, load

PASSWORD = "p@ss/w:rd#?%é &+"
# What an environment variable and an AMQP login can hold.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs", "Cc")), min_size=1)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


def refusal() -> str:
    with pytest.raises(SystemExit) as stopped:
        load(Settings)
    assert isinstance(stopped.value.code, str)
    return stopped.value.code


def test_defaults_reach_local_servers() -> None:
    settings = load(ConnectionSettings)
    assert settings.amqp_url() == "amqp://guest:guest@localhost:5672/%2F"
    assert settings.results_url() == "redis://localhost:6379/0"


@given(password=TEXT, user=TEXT, vhost=TEXT)
def test_any_text_survives_the_broker_url(password: str, user: str, vhost: str) -> None:
    settings = ConnectionSettings.model_validate(
        {"broker_password": password, "broker_user": user, "broker_vhost": vhost}
    )
    connection = Connection(settings.amqp_url())
    assert (connection.userid, connection.password) == (user, password)
    assert connection.virtual_host == vhost


@given(password=TEXT)
def test_any_text_survives_the_redis_url(password: str) -> None:
    parts = urlsplit(ConnectionSettings.model_validate({"redis_password": password}).results_url())
    assert unquote(parts.password or "") == password
    assert parts.hostname == "localhost"


def test_url_replaces_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "amqps://u:p@mq.example:5671/shop")
    monkeypatch.setenv("BROKER_HOST", "elsewhere")
    monkeypatch.setenv("REDIS_URL", "redis://cache.example/3")
    settings = load(ConnectionSettings)
    assert settings.amqp_url() == "amqps://u:p@mq.example:5671/shop"
    assert settings.broker_tls
    assert settings.results_url() == "redis://cache.example/3"


def test_values_from_files_without_their_line_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("BROKER_PASSWORD", "REDIS_PASSWORD"):
        path = tmp_path / name
        path.write_text(f"{PASSWORD}\n", encoding="utf-8")
        monkeypatch.setenv(f"{name}_FILE", str(path))
    settings = load(ConnectionSettings)
    assert settings.broker_password.get_secret_value() == PASSWORD
    assert settings.redis_password is not None
    assert settings.redis_password.get_secret_value() == PASSWORD


def test_ca_turns_tls_on_and_checks_the_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    monkeypatch.setenv("BROKER_TLS_CA", str(ca))
    monkeypatch.setenv("REDIS_TLS_CA", str(ca))
    settings = load(ConnectionSettings)
    assert settings.amqp_url().startswith("amqps://guest:guest@localhost:5671/")
    assert settings.results_url().startswith("rediss://localhost:6379/0?ssl_cert_reqs=required")
    assert f"ssl_ca_certs={str(ca).replace('/', '%2F')}" in settings.results_url()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BROKER_PORT", "many", "BROKER_PORT: Input should be a valid integer"),
        ("BROKER_PORT", "70000", "BROKER_PORT: Input should be less than or equal to 65535"),
        ("REDIS_PORT", "tcp://10.0.0.1:6379", "REDIS_PORT: holds a Kubernetes service link, not a port; set enableSe"),
        ("BROKER_URL", "http://x", "BROKER_URL: must start with amqp:// or amqps://"),
        ("BROKER_URL", "amqp://u:pa/ss@x", "BROKER_URL: has no host that can be read; quote special characters"),
        ("REDIS_URL", "6379", "REDIS_URL: must start with redis:// or rediss://"),
        ("BROKER_TLS_CA", "/no/such.pem", "BROKER_TLS_CA: no such file: /no/such.pem"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
        ("STEPS", "0", "STEPS: Input should be greater than or equal to 1"),
        ("BROKER_PASSWORD_FILE", "/no/such", "BROKER_PASSWORD_FILE cannot be read: "),
    ],
)
def test_bad_value_stops_with_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    said = refusal()
    assert said.startswith(f"bad setting: {message}")
    assert "\n" not in said


def test_value_and_file_together_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "a")
    monkeypatch.setenv("BROKER_PASSWORD_FILE", str(tmp_path))
    assert refusal() == "bad setting: BROKER_PASSWORD and BROKER_PASSWORD_FILE are both set; keep one of them"


def test_refusal_never_shows_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://u:s3cret/@x")
    assert "s3cret" not in refusal()


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|$", page, re.M)
    expected = []
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        if hasattr(default, "get_secret_value"):
            default = default.get_secret_value()
        shown = "" if default is None else f"`{default}`" if field.default_factory is None else "temp dir`/stalk`"
        expected.append((name.upper(), shown, field.description))
    assert documented == expected
