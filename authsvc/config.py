"""Settings: environment variables with the prefix ``AUTHSVC_``, checked before the start.

Every variable may also be given as ``<NAME>_FILE``, the path of a file that holds
the value. A wrong value raises ConfigError with one line that names the variable,
what it holds (unless it is a secret) and what it accepts.

``python -m authsvc.config`` prints the settings table; with ``--check FILE`` it fails
when the table in that file is not current, with ``--write FILE`` it renews it there.
"""

import ipaddress
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings.sources import PydanticBaseSettingsSource

PREFIX = "AUTHSVC_"
MASTER_KEY_PATH = Path("keys/master.key")
DEFAULT_DATABASE_URL = "sqlite:///var/authsvc.db"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ConfigError(Exception):
    """A setting is wrong; the message is one line for the operator."""


def _seconds(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        seconds = int(str(value))
    except ValueError as error:
        raise ValueError("a whole number of seconds") from error
    if not 0 <= seconds <= 3_153_600_000:
        raise ValueError("a whole number of seconds from 0 to 100 years")
    return timedelta(seconds=seconds)


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("a whole number of seconds above 0")
    return value


def _networks(value: object) -> tuple[Network, ...]:
    if isinstance(value, tuple):
        return value
    try:
        return tuple(ipaddress.ip_network(part) for part in str(value).replace(",", " ").split())
    except ValueError as error:
        raise ValueError("addresses or networks in CIDR form, separated by commas") from error


def _switch(value: object) -> bool:
    words = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}
    if isinstance(value, bool):
        return value
    try:
        return words[str(value).lower()]
    except KeyError as error:
        raise ValueError("on or off") from error


def _rate(value: str) -> str:
    for rate in value.split(";"):
        amount, _, period = rate.partition("/")
        if not (amount.isascii() and amount.isdigit() and int(amount) and period in _PERIODS):
            raise ValueError("rates like 600/minute or 10/second;600/minute")
    return value


def _namespaces(value: object) -> dict[str, frozenset[str]]:
    wanted = 'a JSON object like {"https://orders.example": ["orders"]}'
    if isinstance(value, str):
        try:
            value = orjson.loads(value or "{}")
        except orjson.JSONDecodeError as error:
            raise ValueError(wanted) from error
    if not isinstance(value, Mapping):
        raise ValueError(wanted)
    resources = {}
    for uri, names in value.items():
        parts = urlsplit(str(uri))
        if not parts.scheme or parts.fragment or isinstance(names, str):
            raise ValueError(wanted)
        resources[str(uri)] = frozenset(str(name) for name in names)
    return resources


_PERIODS = ("second", "minute", "hour", "day")
Seconds = Annotated[timedelta, BeforeValidator(_seconds)]
PositiveSeconds = Annotated[timedelta, BeforeValidator(_seconds), AfterValidator(_positive)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Rate = Annotated[str, AfterValidator(_rate)]


def _setting(default: Any, meaning: str, **bounds: Any) -> Any:
    return Field(default=default, validate_default=True, description=meaning, **bounds)


class Settings(BaseSettings):
    """Every setting of the service, validated."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    env: Literal["development", "production"] = _setting(
        "development", "`production` refuses to start on a development default"
    )
    issuer: str = _setting("http://127.0.0.1:8000", "issuer identifier; may carry a path")
    database_url: str = _setting(DEFAULT_DATABASE_URL, "`sqlite:///…` or `postgresql://…`")
    database_pool_size: int = _setting(10, "connections a worker keeps open at most", ge=2, le=500)
    database_timeout: PositiveSeconds = _setting(
        5, "seconds a statement, or the wait for a connection, may take"
    )
    redis_url: SecretStr | None = _setting(
        None,
        "`redis://…`, `rediss://…`, `redis+sentinel://HOST,HOST/SERVICE/DB`, "
        "`redis+cluster://HOST,HOST`; unset: one process keeps the shared state itself",
    )
    master_key: SecretStr | None = _setting(
        None,
        "32 bytes, base64url; several, newest first, while it is rotated; "
        "unset: a file in `keys/` that is made at the first start",
    )
    access_token_ttl: PositiveSeconds = _setting(300, "life of an access token")
    id_token_ttl: PositiveSeconds = _setting(300, "life of an ID token")
    authorization_code_ttl: PositiveSeconds = _setting(60, "life of an authorization code")
    refresh_token_ttl: PositiveSeconds = _setting(
        7_776_000, "life of a refresh token family, from the sign-in on"
    )
    refresh_token_idle_ttl: PositiveSeconds = _setting(
        1_209_600, "life of a refresh token that is not used"
    )
    refresh_window: Seconds = _setting(
        10, "time in which a repeated refresh gets the same successor; 0 turns it off"
    )
    session_ttl: PositiveSeconds = _setting(86_400, "life of a browser's session")
    session_idle_ttl: PositiveSeconds = _setting(28_800, "life of a session that is not used")
    clock_leeway: Seconds = _setting(10, "clock difference allowed in a client's JWT")
    client_assertion_ttl: PositiveSeconds = _setting(
        300, "longest life of a client assertion that is accepted"
    )
    idempotency_key_ttl: PositiveSeconds = _setting(
        86_400, "time in which an `Idempotency-Key` is remembered"
    )
    signing_alg: Literal["ES256", "RS256", "PS256", "EdDSA"] = _setting(
        "ES256", "algorithm of access tokens"
    )
    jwks_max_age: PositiveSeconds = _setting(
        300, "how long clients may cache the JWKS; a key is published this long before it signs"
    )
    key_rotation_interval: Seconds = _setting(
        7_776_000, "age at which a signing key is replaced; 0: only by hand"
    )
    key_retired_ttl: PositiveSeconds = _setting(
        86_400, "time a retired key stays published; at least the longest token's life"
    )
    resources: Annotated[dict[str, frozenset[str]], NoDecode, BeforeValidator(_namespaces)] = (
        _setting(
            {},
            "resource servers a token may be asked for (RFC 8707): a JSON object, "
            "URI to the permission namespaces that its tokens carry",
        )
    )
    registration: Literal["off"] = _setting("off", "dynamic client registration")
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = (
        _setting(
            "127.0.0.0/8,::1/128",
            "whose `X-Forwarded-*` and `Forwarded` are believed: addresses or networks",
        )
    )
    max_body_bytes: int = _setting(
        65_536, "largest request body, in bytes", ge=1_024, le=16_777_216
    )
    argon2_time_cost: int = _setting(3, "Argon2id passes", ge=1, le=100)
    argon2_memory_kib: int = _setting(65_536, "Argon2id memory of one hash, in KiB", ge=8_192)
    argon2_parallelism: int = _setting(4, "Argon2id lanes", ge=1, le=64)
    argon2_workers: int = _setting(
        0, "hashes computed at once in one process; 0: one a core", ge=0, le=256
    )
    argon2_queue: int = _setting(
        32, "hashes that may wait for a worker; beyond, the answer is 503", ge=0, le=10_000
    )
    login_account_attempts: int = _setting(
        5, "wrong passwords per account and address before the next ones are delayed", ge=1
    )
    login_account_attempts_everywhere: int = _setting(
        50, "wrong passwords per account from all unknown browsers before a delay", ge=1
    )
    login_address_attempts: int = _setting(
        50, "wrong passwords per address over all accounts before a delay", ge=1
    )
    login_delay: PositiveSeconds = _setting(1, "first delay; it doubles with each wrong password")
    login_delay_max: PositiveSeconds = _setting(300, "longest delay")
    login_delay_max_everywhere: PositiveSeconds = _setting(
        15, "longest delay of an account for attempts from everywhere: its person waits, too"
    )
    login_window: PositiveSeconds = _setting(
        3_600, "time without a wrong password after which counting starts anew"
    )
    rate_limits: Switch = _setting(True, "`off` for benchmarks")
    rate_limit_token_address: Rate = _setting("1200/minute", "token endpoint, per address")
    rate_limit_token_client: Rate = _setting("6000/minute", "token endpoint, per client")
    rate_limit_authorize_address: Rate = _setting("600/minute", "authorization, per address")
    rate_limit_login_address: Rate = _setting("60/minute", "login form, per address")
    rate_limit_userinfo_address: Rate = _setting("1200/minute", "userinfo, per address")
    rate_limit_introspect_address: Rate = _setting("6000/minute", "introspection, per address")
    rate_limit_introspect_client: Rate = _setting("60000/minute", "introspection, per client")
    rate_limit_revoke_address: Rate = _setting("1200/minute", "revocation, per address")
    rate_limit_logout_address: Rate = _setting("120/minute", "logout, per address")
    rate_limit_discovery_address: Rate = _setting("3000/minute", "metadata and JWKS, per address")
    rate_limit_admin_address: Rate = _setting("600/minute", "admin API, per address")
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "least level logged")
    log_format: Literal["json", "console"] = _setting("json", "JSON lines, or text for a person")

    @field_validator("issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        wanted = "an http or https URL without query, fragment or trailing slash"
        try:
            parts = urlsplit(value)
            valid = (
                parts.scheme in ("http", "https")
                and bool(parts.hostname)
                and (parts.port is None or parts.port > 0)
                and "?" not in value
                and "#" not in value
                and not value.endswith("/")
                and parts.username is None
                and value.isascii()
                and value.isprintable()
                and " " not in value
            )
        except ValueError as error:
            raise ValueError(wanted) from error
        if not valid:
            raise ValueError(wanted)
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgresql://")):
            raise ValueError("sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        known = ("redis://", "rediss://", "redis+sentinel://", "redis+cluster://")
        if value and not value.get_secret_value().startswith((*known, "rediss+cluster://")):
            raise ValueError("redis://, rediss://, redis+sentinel:// or redis+cluster:// and hosts")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        longest = max(self.access_token_ttl, self.id_token_ttl)
        if self.key_retired_ttl < longest:
            raise ValueError(
                f"{PREFIX}KEY_RETIRED_TTL must not be below the longest token's life, "
                f"{longest.total_seconds():.0f} seconds"
            )
        if self.env == "production":
            self._check_production()
        return self

    def _check_production(self) -> None:
        refused = {
            "ISSUER": not self.secure and "an https URL",
            "DATABASE_URL": self.database_url.startswith("sqlite") and "a postgresql:// URL",
            "REDIS_URL": self.redis_url is None and "the URL of a Redis",
            "MASTER_KEY": self.master_key is None and "32 bytes, base64url",
        }
        for name, wanted in refused.items():
            if wanted:
                raise ValueError(f"{PREFIX}{name} must be {wanted} when {PREFIX}ENV is production")

    @property
    def secure(self) -> bool:
        """Whether people reach the service over TLS, so that cookies are ``Secure``."""
        return self.issuer.startswith("https://")

    @property
    def base_path(self) -> str:
        """The issuer's path, empty or with a leading slash."""
        return urlsplit(self.issuer).path

    @property
    def origin(self) -> str:
        """The issuer's origin (RFC 6454 §6.2)."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    def rate_limit_table(self) -> dict[str, str]:
        """Return each limit by its name, such as ``token_address``."""
        start = "rate_limit_"
        return {
            name.removeprefix(start): getattr(self, name)
            for name in type(self).model_fields
            if name.startswith(start)
        }

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then variables, then ``_FILE`` variables."""
        return init_settings, env_settings, _FileVariables(settings_cls)


class _FileVariables(PydanticBaseSettingsSource):
    """Reads ``AUTHSVC_<NAME>_FILE``: the value is the content of the file it names."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise ConfigError(
                f"{PREFIX}{field_name.upper()}_FILE holds {path!r}, which can not be read: {reason}"
            ) from error

    def __call__(self) -> dict[str, Any]:
        values = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in values.items() if value is not None}


def load_settings(**overrides: Any) -> Settings:
    """Return the settings from the environment; ``overrides`` come first.

    Raises ConfigError with one line for the first wrong variable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def unknown_variables() -> list[str]:
    """Return variables that look like settings of ours but are not: likely misspelt."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    known = names | {f"{name}_FILE" for name in names}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and name not in known and not name.startswith(f"{PREFIX}TEST_")
    )


def _explain(error: ValidationError) -> str:
    first = error.errors(include_context=True)[0]
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not first["loc"]:
        return reason
    name = str(first["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    secret = "Secret" in str(Settings.model_fields[name].annotation) or name == "database_url"
    shown = "a value that is not shown" if secret else repr(first["input"])
    in_file = not os.environ.get(variable) and os.environ.get(f"{variable}_FILE")
    held = f"{variable}_FILE names a file that holds" if in_file else f"{variable} holds"
    return f"{held} {shown}; it accepts {reason[:1].lower()}{reason[1:]}"


def settings_table() -> str:
    """Return the table of all settings in Markdown."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, bool):
            shown = "`on`" if default else "`off`"
        elif default is None:
            shown = "unset"
        else:
            shown = "`{}`" if default == {} else f"`{default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


_BEGIN, _END = "<!-- settings: begin -->", "<!-- settings: end -->"


def _main(arguments: list[str]) -> int:
    match arguments:
        case []:
            print(settings_table())
            return 0
        case [("--check" | "--write") as mode, path]:
            file = Path(path)
            text = file.read_text(encoding="utf-8")
            head, _, rest = text.partition(_BEGIN)
            _, _, tail = rest.partition(_END)
            current = f"{head}{_BEGIN}\n{settings_table()}\n{_END}{tail}"
            if mode == "--write":
                file.write_text(current, encoding="utf-8")
            elif text != current:
                print(f"{path}: the settings table is not current", file=sys.stderr)
                return 1
            return 0
        case _:
            print("usage: python -m authsvc.config [--check FILE | --write FILE]", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
