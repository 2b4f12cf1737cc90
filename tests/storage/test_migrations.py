"""The schema goes up, down and up again on both databases, and is what the models say."""

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect

from authsvc.resources import open_storage
from authsvc.storage.database import Database
from authsvc.storage.migrations import (
    current_revision,
    downgrade,
    find_differences,
    known_revisions,
    newest_revision,
    upgrade,
)
from authsvc.storage.schema import metadata
from tests.conftest import MASTER_KEY, BackendName
from tests.storage.empty_backend import make_unmigrated_backend

_ROOT = Path(__file__).resolve().parents[2]
BOTH: tuple[BackendName, ...] = ("sqlite", "postgres")


async def _tables(database: Database) -> set[str]:
    def read(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}

    async with database.engine.connect() as connection:
        return await connection.run_sync(read)


async def _schema(database: Database) -> dict[str, object]:
    """Return columns, indexes and keys as the database tells them."""

    def read(connection: Connection) -> dict[str, object]:
        inspector = inspect(connection)
        return {
            name: (
                [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(name)],
                sorted(str(index) for index in inspector.get_indexes(name)),
                sorted(str(key) for key in inspector.get_foreign_keys(name)),
                sorted(str(unique) for unique in inspector.get_unique_constraints(name)),
            )
            for name in inspector.get_table_names()
        }

    async with database.engine.connect() as connection:
        return await connection.run_sync(read)


@pytest.mark.parametrize("name", BOTH)
async def test_the_migrated_schema_is_what_the_models_say(
    request: pytest.FixtureRequest, tmp_path: Path, name: BackendName
) -> None:
    settings = make_unmigrated_backend(request, tmp_path, name).settings()
    async with open_storage(settings, database_timeout=60) as (database, _):
        assert await current_revision(database) is None
        assert await find_differences(database) != []

        await upgrade(database)

        assert await find_differences(database) == []
        assert await current_revision(database) == newest_revision()
        assert await _tables(database) == set(metadata.tables)


@pytest.mark.parametrize("name", BOTH)
async def test_each_revision_can_be_taken_back_and_made_again(
    request: pytest.FixtureRequest, tmp_path: Path, name: BackendName
) -> None:
    settings = make_unmigrated_backend(request, tmp_path, name).settings()
    async with open_storage(settings, database_timeout=60) as (database, _):
        revisions = known_revisions()[::-1]
        schemas = [await _schema(database)]
        for revision in revisions:
            await upgrade(database, revision)
            schemas.append(await _schema(database))
        for before, below in zip(schemas[-2::-1], [*revisions[-2::-1], "base"], strict=True):
            await downgrade(database, below)
            without = {k: v for k, v in (await _schema(database)).items() if k in before}
            assert without == before

        assert await _tables(database) == set()
        await upgrade(database)
        assert await _schema(database) == schemas[-1]
        assert await find_differences(database) == []


async def test_of_processes_that_migrate_at_once_one_migrates_and_each_succeeds(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    backend = make_unmigrated_backend(request, tmp_path, "postgres")
    environment = {"AUTHSVC_DATABASE_URL": backend.database_url, "AUTHSVC_MASTER_KEY": MASTER_KEY}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "authsvc", "db", "upgrade", cwd=_ROOT, env=environment
        )
        for _ in range(2)
    ]

    assert [await process.wait() for process in processes] == [0, 0]
    async with open_storage(backend.settings()) as (database, _):
        assert await find_differences(database) == []
