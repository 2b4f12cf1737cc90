"""Every setting."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.sources import PydanticBaseSettingsSource

from authsvc.config.mail import MailSender, SmtpServer, parse_mail_sender, parse_smtp_url
from authsvc.config.values import (
    ExistingFile,
    Names,
    Namespaces,
    Networks,
    PositiveSeconds,
    Rate,
    Seconds,
    Switch,
    UrlsByIssuer,
    setting,
)
from authsvc.config.variables import PREFIX, FileVariables

MASTER_KEY_PATH = Path("keys/master.key")
DEFAULT_DATABASE_URL = "sqlite:///var/authsvc.db"


class Settings(BaseSettings):
    """Every setting of the service, validated."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    env: Literal["development", "production"] = setting(
        "development", "`production` refuses to start on a development default"
    )
    issuer: str = setting("http://127.0.0.1:8000", "issuer identifier; may carry a path")
    database_url: str = setting(DEFAULT_DATABASE_URL, "`sqlite:///…` or `postgresql://…`")
    database_pool_size: int = setting(10, "connections a worker keeps open at most", ge=2, le=500)
    database_timeout: PositiveSeconds = setting(
        5, "seconds a statement of a command or of background work may take"
    )
    database_request_timeout_ms: int = setting(
        700,
        "milliseconds a request may wait for PostgreSQL, all in all; then the answer is 503",
        ge=50,
        le=60_000,
    )
    redis_url: SecretStr | None = setting(
        None,
        "`redis://…`, `rediss://…`, `redis+sentinel://HOST,HOST/SERVICE/DB`, "
        "`redis+cluster://HOST,HOST`; unset: one process keeps the shared state itself",
    )
    master_key: SecretStr | None = setting(
        None,
        "32 bytes, base64url; several, newest first, while it is rotated; "
        "unset: a file in `keys/` that is made at the first start",
    )
    access_token_ttl: PositiveSeconds = setting(300, "life of an access token")
    id_token_ttl: PositiveSeconds = setting(300, "life of an ID token")
    authorization_code_ttl: PositiveSeconds = setting(60, "life of an authorization code")
    refresh_token_ttl: PositiveSeconds = setting(
        7_776_000, "life of a refresh token family, from the sign-in on"
    )
    refresh_token_idle_ttl: PositiveSeconds = setting(
        1_209_600, "life of a refresh token that is not used"
    )
    refresh_window: Seconds = setting(
        10, "time in which a repeated refresh gets the same successor; 0 turns it off"
    )
    session_ttl: PositiveSeconds = setting(86_400, "life of a browser's session")
    session_idle_ttl: PositiveSeconds = setting(28_800, "life of a session that is not used")
    clock_leeway: Seconds = setting(10, "clock difference allowed in a client's JWT")
    client_assertion_ttl: PositiveSeconds = setting(
        3_600, "longest life of a client assertion that is accepted"
    )
    idempotency_key_ttl: PositiveSeconds = setting(
        86_400, "time in which an `Idempotency-Key` is remembered"
    )
    signing_alg: Literal["ES256", "RS256", "PS256", "EdDSA"] = setting(
        "ES256", "algorithm of access tokens"
    )
    jwks_max_age: PositiveSeconds = setting(
        300, "how long clients may cache the JWKS; a key is published this long before it signs"
    )
    key_rotation_interval: Seconds = setting(
        7_776_000, "age at which a signing key is replaced; 0: only by hand"
    )
    key_retired_ttl: PositiveSeconds = setting(
        86_400, "time a retired key stays published; at least the longest token's life"
    )
    resources: Namespaces = setting(
        {},
        "resource servers a token may be asked for (RFC 8707): a JSON object, "
        "URI to the permission namespaces that its tokens carry",
    )
    implicit_flow: Switch = setting(
        False, "`on` lets clients that register it use `id_token` and `id_token token`"
    )
    hybrid_flow: Switch = setting(
        False, "`on` lets clients that register it use `code` together with tokens"
    )
    device_code_ttl: PositiveSeconds = setting(600, "life of a device code and its user code")
    device_poll_interval: PositiveSeconds = setting(
        5, "seconds a device waits between two polls; each poll too soon adds 5"
    )
    registration: Literal["off", "token", "open"] = setting(
        "off", "dynamic client registration: `off`, `token` (initial access token), `open`"
    )
    registration_scopes: Names = setting(
        "", "scopes besides those of OpenID Connect that clients may register themselves"
    )
    registration_require_pkce: Switch = setting(
        False, "`on` requires PKCE of confidential clients that registered themselves, too"
    )
    registration_unused_ttl: PositiveSeconds = setting(
        86_400, "time after which a client that registered itself and was never used goes"
    )
    registration_max_unused: int = setting(
        10_000, "clients that may have registered themselves and not been used yet", ge=1
    )
    registration_statement_issuers: UrlsByIssuer = setting(
        {}, "whose software statements are believed: a JSON object, issuer to URL of its JWKS"
    )
    outbound_loopback: Switch = setting(
        False,
        "lets outbound requests (`jwks_uri`, back-channel logout …) reach loopback addresses, "
        "and over http: for tests",
    )
    outbound_ca_file: ExistingFile | None = setting(None, "extra CA bundle for outbound requests")
    outbound_timeout: PositiveSeconds = setting(5, "longest time an outbound request may take")
    webhook_networks: Networks = setting(
        "",
        "networks besides public ones that webhooks may be sent to, over https: addresses or "
        "networks in CIDR form",
    )
    smtp_url: SecretStr | None = setting(
        None,
        "mail server: `smtp://USER:PASSWORD@HOST:587` (STARTTLS), `smtps://…:465` (TLS), "
        "`smtp://HOST:25?starttls=off` (neither TLS nor a password); unset: no mail",
    )
    mail_from: str | None = setting(
        None, "whom mail comes from: `login@example.com` or `Example <login@example.com>`"
    )
    trusted_proxies: Networks = setting(
        "127.0.0.0/8,::1/128",
        "whose `X-Forwarded-For`, or without it `Forwarded`, is believed: addresses or networks",
    )
    max_body_bytes: int = setting(65_536, "largest request body, in bytes", ge=1_024, le=16_777_216)
    argon2_time_cost: int = setting(3, "Argon2id passes", ge=1, le=100)
    argon2_memory_kib: int = setting(65_536, "Argon2id memory of one hash, in KiB", ge=8_192)
    argon2_parallelism: int = setting(4, "Argon2id lanes", ge=1, le=64)
    argon2_workers: int = setting(
        0, "hashes computed at once in one process; 0: one a core", ge=0, le=256
    )
    argon2_queue: int = setting(
        32, "hashes that may wait for a worker; beyond, the answer is 503", ge=0, le=10_000
    )
    password_reset_ttl: PositiveSeconds = setting(
        1_800, "life of a link to set another password, from when it was asked for"
    )
    login_account_attempts: int = setting(
        5, "wrong passwords per account and address before the next ones are delayed", ge=1
    )
    login_account_attempts_everywhere: int = setting(
        50, "wrong passwords per account from all unknown browsers before a delay", ge=1
    )
    login_address_attempts: int = setting(
        50, "wrong passwords per address over all accounts before a delay", ge=1
    )
    login_delay: PositiveSeconds = setting(1, "first delay; it doubles with each wrong password")
    login_delay_max: PositiveSeconds = setting(300, "longest delay")
    login_delay_max_everywhere: PositiveSeconds = setting(
        15, "longest delay of an account for attempts from everywhere: its person waits, too"
    )
    login_window: PositiveSeconds = setting(
        3_600, "time without a wrong password after which counting starts anew"
    )
    rate_limits: Switch = setting(True, "`off` for benchmarks")
    rate_limit_token_address: Rate = setting("6000/minute", "token endpoint, per address")
    rate_limit_token_client: Rate = setting("6000/minute", "token endpoint, per client")
    rate_limit_authorize_address: Rate = setting("1200/minute", "authorization, per address")
    rate_limit_login_address: Rate = setting("300/minute", "login form, per address")
    rate_limit_password_address: Rate = setting(
        "60/minute", "forms for a forgotten password, per address"
    )
    rate_limit_userinfo_address: Rate = setting("6000/minute", "userinfo, per address")
    rate_limit_introspect_address: Rate = setting("60000/minute", "introspection, per address")
    rate_limit_introspect_client: Rate = setting("60000/minute", "introspection, per client")
    rate_limit_revoke_address: Rate = setting("6000/minute", "revocation, per address")
    rate_limit_logout_address: Rate = setting("120/minute", "logout, per address")
    rate_limit_discovery_address: Rate = setting("3000/minute", "metadata and JWKS, per address")
    rate_limit_register_address: Rate = setting(
        "600/minute;2000/day", "registration and its management, per address"
    )
    rate_limit_device_address: Rate = setting("60/minute", "device code entry, per address")
    rate_limit_admin_address: Rate = setting("1200/minute", "admin API, per address")
    drain_delay: Seconds = setting(
        0, "time in which a process that was told to end goes on listening, and `/readyz` is 503"
    )
    jobs: Switch = setting(
        True, "serving processes run the jobs; `off` where `authsvc jobs run` does"
    )
    outbox_dead_ttl: PositiveSeconds = setting(
        2_592_000, "time that an outbox entry that was given up is kept for an operator"
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "least level logged")
    log_format: Literal["json", "console"] = setting(
        "json", "`json`: lines of JSON; `console`: text for a person"
    )
    traces: Literal["off", "otlp"] = setting(
        "off", "`otlp` sends traces, as the `OTEL_` variables say; needs the extra `otel`"
    )

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

    @field_validator("smtp_url")
    @classmethod
    def _check_smtp_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_smtp_url(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _check_mail_from(cls, value: str | None) -> str | None:
        if value is not None:
            parse_mail_sender(value)
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problems = self._find_development_defaults() if self.env == "production" else []
        if (self.smtp_url is None) != (self.mail_from is None):
            problems.append(f"{PREFIX}SMTP_URL and {PREFIX}MAIL_FROM must be set together")
        longest = max(self.access_token_ttl, self.id_token_ttl)
        if self.key_retired_ttl < longest:
            problems.append(
                f"{PREFIX}KEY_RETIRED_TTL must not be below the longest token's life, "
                f"{longest.total_seconds():.0f} seconds"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _find_development_defaults(self) -> list[str]:
        refused = {
            "ISSUER": not self.secure and "an https URL",
            "DATABASE_URL": self.database_url.startswith("sqlite") and "a postgresql:// URL",
            "REDIS_URL": self.redis_url is None and "the URL of a Redis",
            "MASTER_KEY": self.master_key is None and "32 bytes, base64url",
        }
        return [
            f"{PREFIX}{name} must be {wanted} when {PREFIX}ENV is production"
            for name, wanted in refused.items()
            if wanted
        ]

    @property
    def secure(self) -> bool:
        """Whether people reach the service over TLS, so that cookies are ``Secure``."""
        return self.issuer.startswith("https://")

    @property
    def mail(self) -> tuple[SmtpServer, MailSender] | None:
        """The mail server and whom mail comes from; None where no mail is sent."""
        if self.smtp_url is None or self.mail_from is None:
            return None
        return parse_smtp_url(self.smtp_url.get_secret_value()), parse_mail_sender(self.mail_from)

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
        return init_settings, env_settings, FileVariables(settings_cls)
