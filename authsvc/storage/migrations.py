"""Alembic, driven from code: up, down, where we are, and whether models and schema agree.

The scripts lie in ``migrations/`` at the top of the repository. These functions block
on the database and are for the command line and tests, not for the event loop.
"""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from authsvc.protocol.errors import Conflict
from authsvc.storage.database import Database
from authsvc.storage.schema import APPEND_ONLY, metadata

_LOCK_NOT_AVAILABLE = "55P03"
_POSTGRESQL_TRIGGERS = (
    "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE tgenabled IN ('O', 'A') AND pg_table_is_visible(pg_class.oid)"
)
_SQLITE_TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
_SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"


async def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate the schema up to ``revision``.

    Raises Conflict when a lock is not to be had in time. What was done until then stays or
    is undone as a whole, and the next upgrade goes on from there.
    """
    await _run(database, lambda config: command.upgrade(config, revision))


async def downgrade(database: Database, revision: str) -> None:
    """Migrate the schema down to ``revision``; ``base`` is an empty database."""
    await _run(database, lambda config: command.downgrade(config, revision))


async def current_revision(database: Database) -> str | None:
    """Return the revision the schema is at, or None where it was never migrated."""
    async with database.engine.connect() as connection:
        return await connection.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_revision()
        )


def newest_revision() -> str:
    """Return the newest revision there is a script for."""
    head = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    if head is None:
        raise RuntimeError(f"no migrations in {_SCRIPTS}")
    return head


def known_revisions() -> list[str]:
    """Return every revision there is a script for, newest first."""
    return [script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()]


async def find_differences(database: Database) -> list[str]:
    """Return how the schema differs from the models; empty when they agree.

    A trigger that keeps audit rows and is gone or disabled is a difference, too.
    """

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


async def _run(database: Database, action: Callable[[Config], None]) -> None:
    def migrate(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_SCRIPTS))
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
