"""Alembic, driven from code: up, down, where we are, and whether models and schema agree.

The scripts lie in ``migrations/`` at the top of the repository. These functions block
on the database and are for the command line and tests, not for the event loop. Alembic is
imported where it works: every command imports this file, and few move the schema.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from authsvc.protocol.errors import Conflict
from authsvc.storage.database import Database
from authsvc.storage.revisions import SCRIPTS
from authsvc.storage.schema import APPEND_ONLY, metadata

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK_NOT_AVAILABLE = "55P03"
_POSTGRESQL_TRIGGERS = (
    "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE tgenabled IN ('O', 'A') AND pg_table_is_visible(pg_class.oid)"
)
_SQLITE_TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger'"


async def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate the schema up to ``revision``.

    Raises Conflict when a lock is not to be had in time. What was done until then stays or
    is undone as a whole, and the next upgrade goes on from there.
    """
    from alembic.command import upgrade  # noqa: PLC0415  # see above

    await _run(database, lambda config: upgrade(config, revision))


async def downgrade(database: Database, revision: str) -> None:
    """Migrate the schema down to ``revision``; ``base`` is an empty database."""
    from alembic.command import downgrade  # noqa: PLC0415  # see above

    await _run(database, lambda config: downgrade(config, revision))


async def find_differences(database: Database) -> list[str]:
    """Return how the schema differs from the models; empty when they agree.

    A trigger that keeps audit rows and is gone or disabled is a difference, too.
    """
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415  # see above
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415  # see above

    def compare(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [str(difference) for difference in compare_metadata(context, metadata)]
        return [*differences, *_find_missing_triggers(connection)]

    async with database.engine.connect() as connection:
        return await connection.run_sync(compare)


def _find_missing_triggers(connection: Connection) -> list[str]:
    statement, operations = _SQLITE_TRIGGERS, ["update", "delete"]
    if connection.dialect.name == "postgresql":
        statement, operations = _POSTGRESQL_TRIGGERS, [*operations, "truncate"]
    found = set(connection.execute(text(statement)).scalars())
    wanted = {f"{table}_no_{operation}" for table in APPEND_ONLY for operation in operations}
    return [f"the trigger {name} is missing or disabled" for name in sorted(wanted - found)]


async def _run(database: Database, action: Callable[["Config"], None]) -> None:
    from alembic.config import Config  # noqa: PLC0415  # see above

    def migrate(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(SCRIPTS))
        action(config)

    try:
        async with database.engine.connect() as connection:
            if database.is_sqlite:
                await connection.execution_options(sqlite_write=True)
            await connection.run_sync(migrate)
            await connection.commit()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        raise Conflict(
            "The migration did not get a lock in time: somebody uses the table for long; "
            "run it again"
        ) from error
