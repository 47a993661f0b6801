"""Where the broker and the result store are, read from the environment and from mounted files."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

__all__ = ["ConnectionSettings", "LogLevel", "load"]


LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class _FileSource(PydanticBaseSettingsSource):
    """Reads `NAME_FILE`: the value is the file's text without the line end that editors and `echo` leave behind."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = field_name.upper()
        path = os.environ.get(f"{name}_FILE", "")
        if not path:
            return None, field_name, False
        if os.environ.get(name):
            raise _SettingError(f"{name} and {name}_FILE are both set; keep one of them")
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise _SettingError(f"{name}_FILE cannot be read: {error}") from error

    def __call__(self) -> dict[str, Any]:
        found = ((name, self.get_field_value(field, name)[0]) for name, field in self.settings_cls.model_fields.items())
        return {name: value for name, value in found if value is not None}


class _SettingError(Exception):
    """A value that stops the start; its text is the whole message."""


class ConnectionSettings(BaseSettings):
    """The broker, the result store, and what every process of a Celery app reads.

    Each value comes from the environment variable of its name in capitals, or from the file that `<NAME>_FILE` names.
    A `*_URL` replaces the parts beside it; with parts, user and password may hold any character.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    broker_url: SecretStr | None = Field(
        None, description="Whole AMQP URL (`amqp://` or `amqps://`); replaces the parts below."
    )
    broker_host: str = Field("localhost", description="Host name of RabbitMQ.", min_length=1)
    broker_port: int | None = Field(None, ge=1, le=65535, description="Port; 5672, or 5671 with TLS, unless set.")
    broker_vhost: str = Field("/", min_length=1, description="Virtual host.")
    broker_user: str = Field("guest", description="User name.")
    broker_password: SecretStr = Field(SecretStr("guest"), description="Password.")
    broker_tls: bool = Field(False, description="Speak TLS to the broker.")
    broker_tls_ca: Path | None = Field(
        None, description="PEM file with the CA of the broker's certificate; turns TLS on. Without it the system's."
    )
    redis_url: SecretStr | None = Field(
        None, description="Whole Redis URL (`redis://` or `rediss://`); replaces the parts below."
    )
    redis_host: str = Field("localhost", min_length=1, description="Host name of Redis or Valkey.")
    redis_port: int = Field(6379, ge=1, le=65535, description="Port.")
    redis_db: int = Field(0, ge=0, description="Database number.")
    redis_user: str | None = Field(None, description="ACL user name, when the server has more than the default user.")
    redis_password: SecretStr | None = Field(None, description="Password.")
    redis_tls: bool = Field(False, description="Speak TLS to Redis.")
    redis_tls_ca: Path | None = Field(
        None, description="PEM file with the CA of Redis's certificate; turns TLS on. Without it the system's."
    )
    queue_delivery_limit: int = Field(
        20,
        ge=1,
        description="Deliveries after which a task goes to the dead-letter queue (`x-delivery-limit`).",
    )
    result_expires_seconds: int = Field(86_400, ge=1, description="How long a result is kept, in seconds.")
    shutdown_seconds: float | None = Field(
        None,
        ge=0,
        description="How long a worker that was told to stop lets tasks run before it gives them back, in seconds; "
        "for as long as they take unless set.",
    )
    stalk_run_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / "stalk",
        description="Folder of a worker's heartbeat files, which `stalk probe` looks at.",
    )
    log_level: LogLevel = Field("INFO", description="Least level logged.")
    log_format: Literal["text", "json"] = Field("text", description="`text` for people, `json` for log collectors.")

    @field_validator("broker_port", "redis_port", mode="before")
    @classmethod
    def _no_service_link(cls, value: object) -> object:
        if isinstance(value, str) and value.startswith("tcp://"):
            raise ValueError(
                "holds a Kubernetes service link, not a port; set enableServiceLinks: false in the pod's spec"
            )
        return value

    @field_validator("broker_url")
    @classmethod
    def _is_amqp(cls, value: SecretStr | None) -> SecretStr | None:
        return _checked_url(value, ("amqp", "amqps"))

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        return _checked_url(value, ("redis", "rediss"))

    @field_validator("broker_tls_ca", "redis_tls_ca")
    @classmethod
    def _is_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"no such file: {value}")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        scheme = _scheme(self.broker_url)
        self.broker_tls = scheme == "amqps" if scheme else self.broker_tls or self.broker_tls_ca is not None
        scheme = _scheme(self.redis_url)
        self.redis_tls = scheme == "rediss" if scheme else self.redis_tls or self.redis_tls_ca is not None
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then `NAME_FILE`."""
        return init_settings, env_settings, _FileSource(settings_cls)

    def amqp_url(self) -> str:
        """Return the broker's URL for Celery, with user, password and vhost quoted."""
        if self.broker_url is not None:
            return self.broker_url.get_secret_value()
        port = self.broker_port or (5671 if self.broker_tls else 5672)
        login = f"{quote(self.broker_user, safe='')}:{quote(self.broker_password.get_secret_value(), safe='')}"
        scheme = "amqps" if self.broker_tls else "amqp"
        return f"{scheme}://{login}@{_host(self.broker_host)}:{port}/{quote(self.broker_vhost, safe='')}"

    def results_url(self) -> str:
        """Return the result store's URL for Celery and redis-py; with TLS the certificate is always checked."""
        if self.redis_url is not None:
            url = self.redis_url.get_secret_value()
        else:
            password = "" if self.redis_password is None else quote(self.redis_password.get_secret_value(), safe="")
            user = quote(self.redis_user or "", safe="")
            login = f"{user}:{password}@" if user or password else ""
            scheme = "rediss" if self.redis_tls else "redis"
            url = f"{scheme}://{login}{_host(self.redis_host)}:{self.redis_port}/{self.redis_db}"
        if not self.redis_tls or "ssl_cert_reqs=" in url:
            return url
        tls = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
        if self.redis_tls_ca is not None:
            tls["ssl_ca_certs"] = str(self.redis_tls_ca)
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(tls)}"


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


def _scheme(url: SecretStr | None) -> str:
    return "" if url is None else url.get_secret_value().partition("://")[0]


def _checked_url(url: SecretStr | None, schemes: tuple[str, ...]) -> SecretStr | None:
    if url is None:
        return None
    if _scheme(url) not in schemes:
        raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    try:
        host = urlsplit(url.get_secret_value()).port is not None or urlsplit(url.get_secret_value()).hostname
    except ValueError:
        host = None
    if not host:
        raise ValueError("has no host that can be read; quote special characters of the password, or set the parts")
    return url


SettingsT = TypeVar("SettingsT", bound=ConnectionSettings)


def load(settings: type[SettingsT]) -> SettingsT:
    """Read the settings, or end the process with one line that names the variable.

    Raises:
        SystemExit: a value is bad; the text names the variable, never the value.
    """
    try:
        return settings()
    except _SettingError as error:
        sys.exit(f"bad setting: {error}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper() or "settings"
        sys.exit(f"bad setting: {name}: {first['msg'].removeprefix('Value error, ')}")
