"""Runs of scheduled jobs, and the indexes by which the purge finds what is over.

Indexes are built while the service goes on: on PostgreSQL that is no part of a transaction.
Interrupted, it is run again, so each step looks at what is there.

The indexes that go are those on ``expires_at`` of whole tables, which nothing has used yet.

Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
KEPT = {"sessions": "ended_at", "authorization_codes": "expires_at", "device_codes": "expires_at"}
"""Tables with rows that the purge keeps while something needs them, and when they are over."""


def upgrade() -> None:
    op.create_table(
        "job_runs",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("held_until", INSTANT),
        sa.Column("started_at", INSTANT),
        sa.Column("succeeded_at", INSTANT),
        sa.Column("failed_at", INSTANT),
        sa.Column("last_error", sa.String(length=255)),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job_runs")),
        if_not_exists=True,
    )
    for table in KEPT:
        if "kept_until" not in _columns(table):
            op.add_column(table, sa.Column("kept_until", INSTANT))
    with op.get_context().autocommit_block():
        for table, over in KEPT.items():
            unkept = sa.text(f"kept_until IS NULL AND {over} IS NOT NULL")
            _build(f"ix_{table}_unkept_{over}", table, over, unkept)
            kept = sa.text("kept_until IS NOT NULL")
            _build(f"ix_{table}_kept_until", table, "kept_until", kept)
        revoked = sa.text("revoked_at IS NOT NULL")
        _build("ix_token_families_revoked_at", "token_families", "revoked_at", revoked)
        _build("ix_refresh_tokens_expires_at", "refresh_tokens", "expires_at", None)
        for table in KEPT:
            _drop(f"ix_{table}_expires_at", table)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for table in KEPT:
            _build(f"ix_{table}_expires_at", table, "expires_at", None)
        _drop("ix_refresh_tokens_expires_at", "refresh_tokens")
        _drop("ix_token_families_revoked_at", "token_families")
        for table, over in KEPT.items():
            _drop(f"ix_{table}_kept_until", table)
            _drop(f"ix_{table}_unkept_{over}", table)
    for table in KEPT:
        if "kept_until" in _columns(table):
            op.drop_column(table, "kept_until")
    op.drop_table("job_runs", if_exists=True)


def _columns(table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}


def _build(name: str, table: str, column: str, where: sa.TextClause | None) -> None:
    # What an interrupted build leaves behind is not valid.
    _drop(name, table)
    op.create_index(
        op.f(name),
        table,
        [column],
        postgresql_where=where,
        sqlite_where=where,
        postgresql_concurrently=True,
    )


def _drop(name: str, table: str) -> None:
    op.drop_index(op.f(name), table_name=table, postgresql_concurrently=True, if_exists=True)
