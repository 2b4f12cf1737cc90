"""How many rows each table has, and the jobs that keep that bounded, run by hand."""

from sqlalchemy import func, select

from authsvc.jobs.end_expired_sessions import end_expired_sessions
from authsvc.jobs.purge_expired import purge_expired
from authsvc.storage.schema import metadata
from tests.provider import Provider


async def count_rows(provider: Provider) -> dict[str, int]:
    """Return the number of rows of each table."""
    async with provider.resources.database.reading() as tx:
        return {
            name: (await tx.execute(select(func.count()).select_from(table))).scalar_one()
            for name, table in metadata.tables.items()
        }


async def clean_up(provider: Provider) -> None:
    """End the sessions whose time is over, and purge what is over."""
    await end_expired_sessions(provider.server)
    await purge_expired(provider.server)
