"""A migration that does not get a lock fails in good order, and can be run again.

The locks are held by another connection, and the time-out is the real one.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from authsvc.resources import open_storage
from authsvc.storage.migrations import upgrade
from tests.cli.command import Cli, variables_of
from tests.conftest import Backend
from tests.migrations.rows import fill
from tests.storage.empty_backend import make_unmigrated_backend

INVALID = (
    "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE NOT indisvalid"
)


@pytest.fixture
def unmigrated(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A PostgreSQL without tables."""
    return make_unmigrated_backend(request, tmp_path, "postgres")


@pytest.fixture
async def other(unmigrated: Backend) -> AsyncIterator[asyncpg.Connection]:
    """Another connection to it."""
    connection = await asyncpg.connect(unmigrated.database_url)
    yield connection
    await connection.close()


@pytest.fixture
def cli(unmigrated: Backend, tmp_path: Path) -> Cli:
    """The command line on it."""
    return Cli(tmp_path, variables_of(unmigrated))


async def _upgrade_and_fill(backend: Backend, revision: str) -> None:
    async with open_storage(backend.settings(), database_timeout=60) as (database, _):
        await upgrade(database, revision)
        async with database.engine.begin() as connection:
            await connection.run_sync(fill, numbers=[1])


async def test_a_table_that_is_in_use_leaves_the_migration_undone_and_it_can_be_run_again(
    unmigrated: Backend, other: asyncpg.Connection, cli: Cli
) -> None:
    await _upgrade_and_fill(unmigrated, "0004")
    async with other.transaction():
        await other.execute("UPDATE audit_events SET actor = actor")

        refusal = cli.run("db", "upgrade", "0005").refusal()

        assert "did not get a lock in time" in refusal
        assert cli.json("db", "current")["revision"] == "0004"
        # The table of the same revision went with the rest of it.
        assert await other.fetchval("SELECT to_regclass('audit_checkpoints')") is None
        # Nobody waits behind a migration that has given up.
        await other.execute("SET LOCAL lock_timeout = '1s'")
        await other.execute("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE")

    assert cli.json("db", "upgrade", "0005")["to"] == "0005"
    assert cli.json("db", "current")["revision"] == "0005"


async def test_an_index_whose_build_has_failed_is_dropped_and_built_again(
    unmigrated: Backend, other: asyncpg.Connection, cli: Cli
) -> None:
    await _upgrade_and_fill(unmigrated, "0002")
    async with other.transaction():
        await other.execute("UPDATE sessions SET address = 'x'")
        assert "did not get a lock in time" in cli.run("db", "upgrade", "0003").refusal()
    # A build that has given up leaves an index that slows writers down and serves nobody.
    assert [row[0] for row in await other.fetch(INVALID)] == ["ix_sessions_unended_seen_at"]
    assert cli.json("db", "current")["revision"] == "0002"

    assert cli.json("db", "upgrade", "0003")["to"] == "0003"

    assert await other.fetch(INVALID) == []
    assert cli.json("db", "current")["revision"] == "0003"
