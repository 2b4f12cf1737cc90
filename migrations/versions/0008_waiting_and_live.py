"""Indexes of what waits in the outbox, by kind, and of links for a forgotten password.

Built while the service goes on: on PostgreSQL that is no part of a transaction. Interrupted, it
is run again, and drops first what a failed build has left.

Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_outbox_waiting_kind_due_at", "outbox", ["kind", "due_at"], "failed_at IS NULL"),
    (
        "ix_password_resets_links_user_id_expires_at",
        "password_resets",
        ["user_id", "expires_at"],
        "length(binding) > 0",
    ),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, table, columns, where in INDEXES:
            _drop(name, table)
            op.create_index(
                op.f(name),
                table,
                columns,
                postgresql_where=sa.text(where),
                sqlite_where=sa.text(where),
                postgresql_concurrently=True,
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, table, _, _ in INDEXES:
            _drop(name, table)


def _drop(name: str, table: str) -> None:
    op.drop_index(op.f(name), table_name=table, postgresql_concurrently=True, if_exists=True)
