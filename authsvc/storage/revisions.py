"""Which revision the schema is at, and which there are: what a process asks before it serves.

Without Alembic, which moves the schema (``storage.migrations``): it and the scripts take 6 MB of
a process that never migrates.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from authsvc.storage.database import Database

SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"


async def current_revision(database: Database) -> str | None:
    """Return the revision the schema is at, or None where it was never migrated."""

    def read(connection: Connection) -> str | None:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision

    async with database.engine.connect() as connection:
        return await connection.run_sync(read)


def newest_revision() -> str:
    """Return the newest revision there is a script for."""
    return known_revisions()[0]


def known_revisions() -> list[str]:
    """Return every revision there is a script for, newest first: the names of their files."""
    names = [path.name for path in (SCRIPTS / "versions").glob("[0-9]*_*.py")]
    if not names:
        raise RuntimeError(f"no migrations in {SCRIPTS}")
    return sorted((name.partition("_")[0] for name in names), reverse=True)
