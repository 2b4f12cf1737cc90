"""Sessions whose time is over are found by an index.

Of its own, since it is built while the service goes on: on PostgreSQL that is no part of a
transaction. Interrupted, it is run again.

Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = ("seen_at", "expires_at")
UNENDED = sa.text("ended_at IS NULL")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for column in COLUMNS:
            name = op.f(f"ix_sessions_unended_{column}")
            # What an interrupted build leaves behind is not valid.
            op.drop_index(name, table_name="sessions", postgresql_concurrently=True, if_exists=True)
            op.create_index(
                name,
                "sessions",
                [column],
                postgresql_where=UNENDED,
                sqlite_where=UNENDED,
                postgresql_concurrently=True,
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for column in reversed(COLUMNS):
            op.drop_index(
                op.f(f"ix_sessions_unended_{column}"),
                table_name="sessions",
                postgresql_concurrently=True,
                if_exists=True,
            )
