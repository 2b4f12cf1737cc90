"""``INSERT … ON CONFLICT`` in the dialect of the transaction's database."""

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from authsvc.storage.database import Transaction


async def insert_into(tx: Transaction, table: Table) -> Any:
    """Return an INSERT into ``table`` that has ``on_conflict_do_nothing`` and ``_do_update``."""
    connection = await tx.connection()
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)
