"""What the version before this one does with the database works on the new schema.

Its statements are those that its schema allows: it names every column it knows, leaves out
those that may be left out, and writes values as long as they may be.
"""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import DBAPIError

from authsvc.resources import open_storage
from authsvc.storage.database import Database
from authsvc.storage.migrations import downgrade, upgrade
from authsvc.storage.revisions import known_revisions
from tests.conftest import BackendName
from tests.migrations.rows import (
    Rows,
    fill,
    insert_row,
    is_required,
    read,
    reflect,
    value_of,
)
from tests.storage.empty_backend import make_unmigrated_backend

BOTH: tuple[BackendName, ...] = ("sqlite", "postgres")
EARLIER = known_revisions()[1:]
"""Every revision that a version may be at that still serves."""

STORED, WHOLE, SHORT, LONG, OTHER = (1, 2), 3, 4, 5, 6
CHAINS = "audit_events"
APPENDED = (CHAINS, "audit_checkpoints")
"""Tables in which no version changes or removes a row, but to chain an event."""
CHAINED = ("position", "chain_hash")


class Previous:
    """The version that knows the tables as they were."""

    def __init__(self, tables: list[Table]) -> None:
        self.tables = tables

    def insert(self, connection: Connection) -> None:
        """Insert with every column, with none that may be left out, and with long texts."""
        for table in self.tables:
            required = [column.name for column in table.c if is_required(column)]
            insert_row(connection, table, WHOLE, table.c.keys())
            insert_row(connection, table, SHORT, required)
            insert_row(connection, table, LONG, table.c.keys(), longest=True)

    def update(self, connection: Connection) -> None:
        """Set each column that is no key to another value, and to nothing where it may be."""
        for table in self.tables:
            if table.name == CHAINS:
                self._chain(connection, table)
            if table.name in APPENDED:
                continue
            keys = {column.name for column in table.primary_key}
            keys |= {column.name for column in table.c if column.foreign_keys}
            where = [column == value_of(column, WHOLE) for column in table.primary_key]
            for column in table.c:
                if column.name in keys:
                    continue
                values = [value_of(column, OTHER), *([None] if column.nullable else [])]
                for value in values:
                    changed = connection.execute(
                        table.update().where(*where).values({column.name: value})
                    )
                    assert changed.rowcount == 1

    def _chain(self, connection: Connection, table: Table) -> None:
        values = {name: value_of(table.c[name], OTHER) for name in CHAINED}
        where = table.c.id == value_of(table.c.id, SHORT)
        assert connection.execute(table.update().where(where).values(values)).rowcount == 1

    def delete(self, connection: Connection) -> None:
        """Remove a row of each table, those that refer to others first."""
        for table in reversed(self.tables):
            if table.name not in APPENDED:
                where = [column == value_of(column, WHOLE) for column in table.primary_key]
                assert connection.execute(table.delete().where(*where)).rowcount == 1


async def _run(database: Database, *works: Callable[[Connection], object]) -> None:
    for work in works:
        async with database.engine.begin() as connection:
            await connection.run_sync(work)


async def _meet(database: Database, revision: str, *changes: str) -> None:
    """Let the version of ``revision`` meet the newest schema, and ``changes`` besides."""
    await upgrade(database, revision)
    async with database.engine.begin() as connection:
        await connection.run_sync(fill, numbers=STORED)
        tables = await connection.run_sync(reflect)
        before = await connection.run_sync(read, tables)
    assert {len(rows) for rows in before.values()} == {len(STORED)}
    await upgrade(database)
    async with database.engine.begin() as connection:
        for statement in (part for change in changes for part in change.split(";")):
            await connection.execute(text(statement))
        assert await connection.run_sync(read, tables) == before
    previous = Previous(tables)
    await _run(database, previous.insert, previous.update, previous.delete)


@pytest.mark.parametrize("revision", EARLIER)
@pytest.mark.parametrize("name", BOTH)
async def test_an_earlier_version_reads_and_writes_the_newest_schema(
    request: pytest.FixtureRequest, tmp_path: Path, name: BackendName, revision: str
) -> None:
    settings = make_unmigrated_backend(request, tmp_path, name).settings()
    async with open_storage(settings, database_timeout=60) as (database, _):
        await _meet(database, revision)


BREAKING = {
    "a column taken away": "ALTER TABLE users DROP COLUMN claims",
    "a column renamed": "ALTER TABLE users RENAME COLUMN claims TO members",
    "a table taken away": "DROP TABLE consents",
    "a required column": (
        "ALTER TABLE outbox ADD COLUMN tenant text NOT NULL DEFAULT '';"
        "ALTER TABLE outbox ALTER COLUMN tenant DROP DEFAULT"
    ),
    "a column that is required now": "ALTER TABLE users ALTER COLUMN email SET NOT NULL",
    "a shorter text": "ALTER TABLE users ALTER COLUMN username TYPE varchar(100)",
    "another type": "ALTER TABLE users ALTER COLUMN email_verified TYPE text",
    "a unique column": "ALTER TABLE users ADD CONSTRAINT uq UNIQUE (email_verified)",
    "a check": "ALTER TABLE users ADD CONSTRAINT ck CHECK (password_hash IS NOT NULL) NOT VALID",
    "a default taken away": "ALTER TABLE clients ALTER COLUMN self_registered DROP DEFAULT",
    "rows that are kept": (
        "CREATE TRIGGER kept BEFORE DELETE ON users FOR EACH ROW"
        " EXECUTE FUNCTION refuse_audit_change()"
    ),
}


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING.keys())
async def test_a_schema_that_breaks_the_version_before_is_found_out(
    request: pytest.FixtureRequest, tmp_path: Path, change: str
) -> None:
    settings = make_unmigrated_backend(request, tmp_path, "postgres").settings()
    async with open_storage(settings, database_timeout=60) as (database, _):
        with pytest.raises((DBAPIError, AssertionError, KeyError)):
            await _meet(database, EARLIER[0], change)


@pytest.mark.parametrize("name", BOTH)
async def test_rows_live_through_each_revision_taken_back_and_made_again(
    request: pytest.FixtureRequest, tmp_path: Path, name: BackendName
) -> None:
    settings = make_unmigrated_backend(request, tmp_path, name).settings()
    revisions = known_revisions()[::-1]
    async with open_storage(settings, database_timeout=60) as (database, _):
        await upgrade(database, revisions[0])
        tables = await _reflect(database)
        for number, (below, revision) in enumerate(itertools.pairwise(revisions), 1):
            await upgrade(database, revision)
            await _run(database, partial(fill, numbers=[number]))
            before = await _read(database, tables)
            assert all(before.values())

            await downgrade(database, below)
            assert _columns(await _reflect(database)) == _columns(tables)
            assert await _read(database, tables) == before
            await upgrade(database, revision)
            assert await _read(database, tables) == before
            tables = await _reflect(database)


def _columns(tables: list[Table]) -> dict[str, list[str]]:
    return {table.name: list(table.c.keys()) for table in tables}


async def _reflect(database: Database) -> list[Table]:
    async with database.engine.connect() as connection:
        return await connection.run_sync(reflect)


async def _read(database: Database, tables: list[Table]) -> Rows:
    async with database.engine.connect() as connection:
        return await connection.run_sync(read, tables)
