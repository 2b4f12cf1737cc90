"""Rows for tables as the database tells of them, whatever revision it is at.

Row ``number`` of a table refers to row ``number`` of every other one, so that any set of
numbers is whole.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    select,
)

_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_BYTES = 32
Rows = dict[str, list[dict[str, Any]]]


def reflect(connection: Connection) -> list[Table]:
    """Return every table, those that others refer to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def is_required(column: Column[Any]) -> bool:
    """Tell whether a row can not be inserted without a value for it."""
    return not column.nullable and column.server_default is None


def value_of(column: Column[Any], number: int, *, longest: bool = False) -> Any:
    """Return what row ``number`` has in the column; with ``longest`` texts fill it."""
    for key in column.foreign_keys:
        return value_of(key.column, number, longest=longest)
    match column.type:
        case Boolean():
            return number % 2 == 0
        case Integer():
            return number
        case DateTime():
            instant = _BEGINNING + timedelta(seconds=number)
            return instant if column.type.timezone else instant.replace(tzinfo=None)
        case LargeBinary():
            return number.to_bytes(_BYTES, "big")
        case JSON():
            return {"number": number}
        case String(length=length):
            text = f"{number}-{column.name}"
            return text.ljust(length or 10_000, "é") if longest else text[: length or None]
    raise AssertionError(f"no value for {column}: {column.type!r}")


def insert_row(
    connection: Connection, table: Table, number: int, columns: Iterable[str], **options: Any
) -> None:
    """Insert row ``number`` with a value for each of the ``columns``."""
    values = {name: value_of(table.c[name], number, **options) for name in columns}
    connection.execute(table.insert().values(values))


def fill(connection: Connection, numbers: Iterable[int]) -> None:
    """Insert rows with a value in every column, into every table."""
    tables = reflect(connection)
    for number in numbers:
        for table in tables:
            insert_row(connection, table, number, table.c.keys())


def read(connection: Connection, tables: Iterable[Table]) -> Rows:
    """Return all rows of the tables, in an order of their own."""
    rows: Rows = {}
    for table in tables:
        found = connection.execute(select(*table.c)).mappings()
        rows[table.name] = sorted(({**row} for row in found), key=str)
    return rows
