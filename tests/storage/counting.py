"""How many rows each table has: what an attack should not have changed."""

from sqlalchemy import func, select

from authsvc.storage.schema import metadata
from tests.provider import Provider


async def count_rows(
    provider: Provider, *, without: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Return the number of rows by table."""
    async with provider.resources.database.reading() as tx:
        return {
            table.name: (await tx.execute(select(func.count()).select_from(table))).scalar_one()
            for table in metadata.sorted_tables
            if table.name not in without
        }
