"""Signed checkpoints of the audit chain; the database keeps audit rows as they are.

Adds alone. The triggers let events be inserted and chained, which is all that the version
before this one does with them. Of their own transaction: what they lock, every request
that leaves an audit event waits for.

Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
REFUSAL = "the audit log is append-only"
CONTENT = (
    "id",
    "at",
    "event",
    "actor",
    "subject",
    "client_id",
    "address",
    "request_id",
    "details",
    "event_mac",
)
TABLES = ("audit_checkpoints", "audit_events")
FUNCTION = "refuse_audit_change"


def upgrade() -> None:
    op.create_table(
        "audit_checkpoints",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.Column("public_jwk", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit_checkpoints")),
    )
    if op.get_context().dialect.name == "sqlite":
        _keep_rows_on_sqlite()
    else:
        _keep_rows_on_postgresql()


def downgrade() -> None:
    on_postgresql = op.get_context().dialect.name == "postgresql"
    for operation in ("update", "delete", *(["truncate"] if on_postgresql else [])):
        name = f"audit_events_no_{operation}"
        op.execute(f"DROP TRIGGER {name}" + (" ON audit_events" if on_postgresql else ""))
    op.drop_table("audit_checkpoints")
    if on_postgresql:
        op.execute(f"DROP FUNCTION {FUNCTION}()")


def _keep_rows_on_postgresql() -> None:
    op.execute(
        f"CREATE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    content = {row: ", ".join(f"{row}.{name}" for name in CONTENT) for row in ("OLD", "NEW")}
    chained = (
        "OLD.position IS NOT NULL OR NEW.position IS NULL OR NEW.chain_hash IS NULL"
        f" OR ({content['OLD']}) IS DISTINCT FROM ({content['NEW']})"
    )
    for table in TABLES:
        condition = f" WHEN ({chained})" if table == "audit_events" else ""
        for event, scope in (
            ("UPDATE", f"ROW{condition}"),
            ("DELETE", "ROW"),
            ("TRUNCATE", "STATEMENT"),
        ):
            op.execute(
                f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table}"
                f" FOR EACH {scope} EXECUTE FUNCTION {FUNCTION}()"
            )


def _keep_rows_on_sqlite() -> None:
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in CONTENT)
    chained = (
        f"OLD.position IS NOT NULL OR NEW.position IS NULL OR NEW.chain_hash IS NULL OR {changed}"
    )
    for table in TABLES:
        condition = f" WHEN {chained}" if table == "audit_events" else ""
        for event, when in (("UPDATE", condition), ("DELETE", "")):
            op.execute(
                f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table}"
                f" FOR EACH ROW{when} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )
