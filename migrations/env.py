"""Run by Alembic: migrate over the connection that ``authsvc.storage.migrations`` gives.

Lock time-outs keep a migration from queueing the whole service behind it.
"""

from alembic import context
from sqlalchemy import Connection, text

from authsvc.storage.schema import metadata

_LOCK_TIMEOUT = "5s"
_MIGRATION_LOCK = 0x6175746873766303


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # Two replicas that start at once migrate one after the other.
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
            )
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        context.run_migrations()


_migrate(context.config.attributes["connection"])
