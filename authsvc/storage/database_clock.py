"""The database's clock, to be compared with ours. Nothing takes its time from it."""

from datetime import datetime

from sqlalchemy import text

from authsvc.storage.database import Database


async def find_database_time(database: Database) -> datetime | None:
    """Return the time by the database's clock; None for SQLite, which has none of its own.

    Raises TemporarilyUnavailable.
    """
    if database.is_sqlite:
        return None
    async with database.reading() as tx:
        told: datetime = (await tx.execute(text("SELECT clock_timestamp()"))).scalar_one()
        return told
