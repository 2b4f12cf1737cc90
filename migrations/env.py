"""Run by Alembic: migrate over the connection that ``authsvc.storage.migrations`` gives.

Lock time-outs keep a migration from queueing the whole service behind it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection, text

from authsvc.storage.schema import metadata

_LOCK_TIMEOUT = "5s"
_MIGRATION_LOCK = {"lock": 0x6175746873766303}
_LOOK_SECONDS = 0.2


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Let two replicas that start at once migrate one after the other.

    The lock is the session's, not the transaction's: an index that is built concurrently ends
    the transaction. Nobody waits inside of one for it, since such a build waits for whoever
    has a transaction open.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    try_lock = text("SELECT pg_try_advisory_lock(:lock)")
    while not connection.execute(try_lock, _MIGRATION_LOCK).scalar_one():
        connection.commit()
        time.sleep(_LOOK_SECONDS)
    connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
    connection.execute(text("SET statement_timeout = 0"))
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("RESET lock_timeout"))
        connection.execute(text("RESET statement_timeout"))
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), _MIGRATION_LOCK)
        connection.commit()


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        # A lock of one revision must not be held through the next ones.
        transaction_per_migration=True,
    )
    with _alone(connection), context.begin_transaction():
        context.run_migrations()


_migrate(context.config.attributes["connection"])
