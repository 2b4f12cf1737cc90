"""Every table on one page.

Secrets are stored as keyed hashes (``_hash``) or sealed under the master key
(``_sealed``). Identifiers are UUIDv7, so that rows made together lie together.
Instants are aware UTC.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite, which has no such type, keeps it without the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.replace(tzinfo=UTC)


def _json() -> Any:
    return JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _id() -> Column[str]:
    return Column("id", String(36), primary_key=True)


def _kept_until() -> Column[datetime]:
    """Set by the purge alone: something needs the row, and it is looked at again then."""
    return Column("kept_until", Instant)


def _purge_indexes(table: str, over: str) -> list[Index]:
    """Return the indexes by which the purge finds rows over since ``over``, each row once."""
    return [
        Index(f"ix_{table}_{name}", column, postgresql_where=where, sqlite_where=where)
        for name, column, where in (
            (f"unkept_{over}", over, text(f"kept_until IS NULL AND {over} IS NOT NULL")),
            ("kept_until", "kept_until", text("kept_until IS NOT NULL")),
        )
    ]


def _reference(name: str, target: str, **options: Any) -> Column[str]:
    return Column(name, String(255), ForeignKey(target, ondelete="CASCADE"), **options)


# People

users = Table(
    "users",
    metadata,
    _id(),
    Column("username", String(255), nullable=False),
    Column("username_key", String(255), nullable=False, unique=True),
    Column("email", String(320)),
    Column("email_key", String(320), unique=True),
    Column("email_verified", Boolean, nullable=False),
    Column("password_hash", String(255)),
    Column("claims", _json(), nullable=False),
    Column("disabled_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("bucket_hash", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("blocked_until", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    Column("cookie_hash", LargeBinary(32), nullable=False, unique=True),
    _reference("user_id", "users.id", nullable=False, index=True),
    Column("auth_time", Instant, nullable=False),
    Column("acr", String(64), nullable=False),
    Column("amr", _json(), nullable=False),
    Column("address", String(64), nullable=False),
    Column("user_agent", String(255), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
    _kept_until(),
    *_purge_indexes("sessions", "ended_at"),
    *(
        # Those that were not ended alone: they are few, what has ended piles up.
        Index(f"ix_sessions_unended_{name}", name, postgresql_where=where, sqlite_where=where)
        for name in ("seen_at", "expires_at")
        for where in [text("ended_at IS NULL")]
    ),
)

session_clients = Table(
    "session_clients",
    metadata,
    _reference("session_id", "sessions.id", nullable=False),
    _reference("client_id", "clients.client_id", nullable=False, index=True),
    PrimaryKeyConstraint("session_id", "client_id"),
)

consents = Table(
    "consents",
    metadata,
    _reference("user_id", "users.id", nullable=False),
    _reference("client_id", "clients.client_id", nullable=False, index=True),
    Column("scope", Text, nullable=False),
    Column("granted_at", Instant, nullable=False),
    PrimaryKeyConstraint("user_id", "client_id"),
)

# Clients

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(255), primary_key=True),
    Column("metadata", _json(), nullable=False),
    Column("self_registered", Boolean, nullable=False, server_default=false()),
    Column("registration_token_hash", LargeBinary(32)),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("used_at", Instant),
)
UNUSED = clients.c.self_registered & clients.c.used_at.is_(None)
"""Clients that registered themselves and were never used."""
Index(
    "ix_clients_unused_created_at",
    clients.c.created_at,
    postgresql_where=UNUSED,
    sqlite_where=UNUSED,
)

client_secrets = Table(
    "client_secrets",
    metadata,
    _id(),
    _reference("client_id", "clients.client_id", nullable=False, index=True),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("secret_sealed", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
)

client_assertions = Table(
    "client_assertions",
    metadata,
    Column("assertion_hash", LargeBinary(32), primary_key=True),
    Column("expires_at", Instant, nullable=False, index=True),
)

initial_access_tokens = Table(
    "initial_access_tokens",
    metadata,
    _id(),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("uses_left", Integer),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
)

# Roles

roles = Table(
    "roles",
    metadata,
    _id(),
    Column("name", String(255), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
)

role_permissions = Table(
    "role_permissions",
    metadata,
    _reference("role_id", "roles.id", nullable=False),
    Column("permission", String(255), nullable=False),
    PrimaryKeyConstraint("role_id", "permission"),
)

role_parents = Table(
    "role_parents",
    metadata,
    _reference("role_id", "roles.id", nullable=False),
    _reference("parent_id", "roles.id", nullable=False, index=True),
    PrimaryKeyConstraint("role_id", "parent_id"),
)

user_roles = Table(
    "user_roles",
    metadata,
    _reference("user_id", "users.id", nullable=False),
    _reference("role_id", "roles.id", nullable=False, index=True),
    PrimaryKeyConstraint("user_id", "role_id"),
)

client_roles = Table(
    "client_roles",
    metadata,
    _reference("client_id", "clients.client_id", nullable=False),
    _reference("role_id", "roles.id", nullable=False, index=True),
    PrimaryKeyConstraint("client_id", "role_id"),
)

# What was issued

authorization_codes = Table(
    "authorization_codes",
    metadata,
    _id(),
    Column("code_hash", LargeBinary(32), nullable=False, unique=True),
    _reference("client_id", "clients.client_id", nullable=False, index=True),
    _reference("user_id", "users.id", nullable=False, index=True),
    _reference("session_id", "sessions.id", nullable=False, index=True),
    Column("redirect_uri", Text, nullable=False),
    Column("redirect_uri_sent", Boolean, nullable=False),
    Column("scope", Text, nullable=False),
    Column("resources", _json(), nullable=False),
    Column("nonce", Text),
    Column("claims", _json()),
    Column("code_challenge", String(128)),
    # Of what the version before this one stored they are missing.
    Column("auth_time", Instant),
    Column("acr", String(64)),
    Column("amr", _json()),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("consumed_at", Instant),
    _kept_until(),
    *_purge_indexes("authorization_codes", "expires_at"),
)

device_codes = Table(
    "device_codes",
    metadata,
    _id(),
    Column("device_code_hash", LargeBinary(32), nullable=False, unique=True),
    Column("user_code_hash", LargeBinary(32), nullable=False, unique=True),
    _reference("client_id", "clients.client_id", nullable=False, index=True),
    _reference("user_id", "users.id", index=True),
    _reference("session_id", "sessions.id", index=True),
    Column("scope", Text, nullable=False),
    Column("resources", _json(), nullable=False),
    Column("poll_interval", Integer, nullable=False),
    Column("polled_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("auth_time", Instant),
    Column("acr", String(64)),
    Column("amr", _json()),
    Column("approved_at", Instant),
    Column("denied_at", Instant),
    Column("consumed_at", Instant),
    _kept_until(),
    *_purge_indexes("device_codes", "expires_at"),
)

token_families = Table(
    "token_families",
    metadata,
    _id(),
    _reference("client_id", "clients.client_id", nullable=False, index=True),
    _reference("user_id", "users.id", nullable=False, index=True),
    _reference("session_id", "sessions.id", nullable=False, index=True),
    Column("scope", Text, nullable=False),
    Column("resources", _json(), nullable=False),
    Column("claims", _json()),
    Column("auth_time", Instant, nullable=False),
    Column("acr", String(64), nullable=False),
    Column("amr", _json(), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
    Column("revoked_at", Instant),
    *(
        Index("ix_token_families_revoked_at", "revoked_at", postgresql_where=w, sqlite_where=w)
        for w in [text("revoked_at IS NOT NULL")]
    ),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    _reference("family_id", "token_families.id", nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
    Column("consumed_at", Instant),
    Column("successor_hash", LargeBinary(32)),
    Column("successor_sealed", LargeBinary),
)

revocations = Table(
    "revocations",
    metadata,
    Column("kind", String(16), nullable=False),
    Column("value", String(255), nullable=False),
    Column("issued_before", Instant, nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
    Column("expires_at", Instant, nullable=False, index=True),
    PrimaryKeyConstraint("kind", "value"),
)

# By identifiers alone: to make a reference, a migration locks the table of people.
IS_LINK = "length(binding) > 0"
"""A row of ``password_resets`` that is a link; the others bar those that are not made yet."""

password_resets = Table(
    "password_resets",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("user_id", String(36), nullable=False, index=True),
    Column("binding", LargeBinary(32), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
    Index(
        "ix_password_resets_links_user_id_expires_at",
        "user_id",
        "expires_at",
        postgresql_where=text(IS_LINK),
        sqlite_where=text(IS_LINK),
    ),
)

# The service itself

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("alg", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("private_key_sealed", LargeBinary, nullable=False),
    Column("public_jwk", _json(), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("usable_at", Instant, nullable=False),
    Column("activated_at", Instant),
    Column("retired_at", Instant),
    Column("revoked_at", Instant),
    Index("ix_signing_keys_alg_state", "alg", "state"),
)

root_secrets = Table(
    "root_secrets",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

registry_versions = Table(
    "registry_versions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("version", BigInteger, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    _id(),
    Column("kind", String(32), nullable=False),
    Column("payload", _json(), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", String(255)),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("failed_at", Instant),
    Index("ix_outbox_failed_at_due_at", "failed_at", "due_at"),
    Index(
        "ix_outbox_waiting_kind_due_at",
        "kind",
        "due_at",
        postgresql_where=text("failed_at IS NULL"),
        sqlite_where=text("failed_at IS NULL"),
    ),
)

webhooks = Table(
    "webhooks",
    metadata,
    _id(),
    Column("url", Text, nullable=False),
    Column("events", _json(), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    _id(),
    Column(
        "webhook_id",
        String(36),
        ForeignKey("webhooks.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, index=True),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("run", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("held_until", Instant),
    Column("started_at", Instant),
    Column("succeeded_at", Instant),
    Column("failed_at", Instant),
    Column("last_error", String(255)),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("request_hash", LargeBinary(32), nullable=False),
    Column("status", Integer),
    Column("response_sealed", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
)

audit_events = Table(
    "audit_events",
    metadata,
    _id(),
    Column("at", Instant, nullable=False, index=True),
    Column("event", String(64), nullable=False, index=True),
    Column("actor", String(320), nullable=False),
    Column("subject", String(320), nullable=False, index=True),
    Column("client_id", String(255), nullable=False),
    Column("address", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("details", _json(), nullable=False),
    Column("event_mac", LargeBinary(32), nullable=False),
    Column("position", BigInteger, unique=True),
    Column("chain_hash", LargeBinary(32)),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("chain_hash", LargeBinary(32), nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("checkpoint", Text, nullable=False),
    Column("public_jwk", _json(), nullable=False),
    Column("created_at", Instant, nullable=False),
)

APPEND_ONLY = ("audit_checkpoints", "audit_events")
"""Tables whose rows triggers keep: see the revision 0005."""
