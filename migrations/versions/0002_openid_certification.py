"""Dynamic registration, logout notices, device codes and requested claims.

Adds alone: the version before this one runs on the new schema.

Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NEW_COLUMNS = (
    ("clients", "self_registered"),
    ("clients", "registration_token_hash"),
    ("clients", "used_at"),
    ("client_secrets", "secret_sealed"),
    ("authorization_codes", "claims"),
    ("authorization_codes", "auth_time"),
    ("authorization_codes", "acr"),
    ("authorization_codes", "amr"),
    ("token_families", "claims"),
)


def upgrade() -> None:
    op.add_column(
        "clients",
        sa.Column("self_registered", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("clients", sa.Column("registration_token_hash", sa.LargeBinary(length=32)))
    op.add_column("clients", sa.Column("used_at", INSTANT))
    op.create_index(
        op.f("ix_clients_unused_created_at"),
        "clients",
        ["created_at"],
        postgresql_where=sa.text("self_registered AND used_at IS NULL"),
        sqlite_where=sa.text("self_registered = 1 AND used_at IS NULL"),
    )
    op.add_column("client_secrets", sa.Column("secret_sealed", sa.LargeBinary()))
    op.add_column("authorization_codes", sa.Column("claims", JSON))
    op.add_column("authorization_codes", sa.Column("auth_time", INSTANT))
    op.add_column("authorization_codes", sa.Column("acr", sa.String(length=64)))
    op.add_column("authorization_codes", sa.Column("amr", JSON))
    op.add_column("token_families", sa.Column("claims", JSON))
    _create_session_clients()
    _create_initial_access_tokens()
    _create_device_codes()
    _create_outbox()


def downgrade() -> None:
    for table in ("outbox", "device_codes", "initial_access_tokens", "session_clients"):
        op.drop_table(table)
    op.drop_index(op.f("ix_clients_unused_created_at"), table_name="clients")
    for table, column in reversed(NEW_COLUMNS):
        op.drop_column(table, column)


def _reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete="CASCADE")


def _create_session_clients() -> None:
    table = "session_clients"
    op.create_table(
        table,
        sa.Column("session_id", sa.String(length=255), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        _reference(table, "session_id", "sessions.id"),
        _reference(table, "client_id", "clients.client_id"),
        sa.PrimaryKeyConstraint("session_id", "client_id", name=op.f("pk_session_clients")),
    )
    op.create_index(op.f("ix_session_clients_client_id"), table, ["client_id"])


def _create_initial_access_tokens() -> None:
    table = "initial_access_tokens"
    op.create_table(
        table,
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("uses_left", sa.Integer()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_initial_access_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_initial_access_tokens_token_hash")),
    )
    op.create_index(op.f("ix_initial_access_tokens_expires_at"), table, ["expires_at"])


def _create_device_codes() -> None:
    table = "device_codes"
    op.create_table(
        table,
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("device_code_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user_code_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255)),
        sa.Column("session_id", sa.String(length=255)),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("resources", JSON, nullable=False),
        sa.Column("poll_interval", sa.Integer(), nullable=False),
        sa.Column("polled_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("auth_time", INSTANT),
        sa.Column("acr", sa.String(length=64)),
        sa.Column("amr", JSON),
        sa.Column("approved_at", INSTANT),
        sa.Column("denied_at", INSTANT),
        sa.Column("consumed_at", INSTANT),
        _reference(table, "client_id", "clients.client_id"),
        _reference(table, "user_id", "users.id"),
        _reference(table, "session_id", "sessions.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_codes")),
        sa.UniqueConstraint("device_code_hash", name=op.f("uq_device_codes_device_code_hash")),
        sa.UniqueConstraint("user_code_hash", name=op.f("uq_device_codes_user_code_hash")),
    )
    for column in ("client_id", "user_id", "session_id", "expires_at"):
        op.create_index(op.f(f"ix_device_codes_{column}"), table, [column])


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=255)),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("failed_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_failed_at_due_at"), "outbox", ["failed_at", "due_at"])
