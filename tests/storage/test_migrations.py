"""The schema goes up, down and up again on both databases, and is what the models say."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine.interfaces import ReflectedIndex

from authsvc.resources import open_storage
from authsvc.storage.database import Database
from authsvc.storage.migrations import downgrade, find_differences, upgrade
from authsvc.storage.revisions import SCRIPTS, current_revision, known_revisions, newest_revision
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
                sorted(_describe(index) for index in inspector.get_indexes(name)),
                sorted(str(key) for key in inspector.get_foreign_keys(name)),
                sorted(str(unique) for unique in inspector.get_unique_constraints(name)),
            )
            for name in inspector.get_table_names()
        }

    async with database.engine.connect() as connection:
        return await connection.run_sync(read)


def _describe(index: ReflectedIndex) -> str:
    """Return the index as text; a condition is an object without text of its own."""
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return str({**index, "dialect_options": options})


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


def test_the_files_of_the_revisions_are_named_and_ordered_as_alembic_does_it() -> None:
    scripts = ScriptDirectory(str(SCRIPTS))
    assert [script.revision for script in scripts.walk_revisions()] == known_revisions()
    assert scripts.get_current_head() == newest_revision()


NOW = "2026-01-01 00:00:00.000000+00:00"
BEFORE = (
    (
        "INSERT INTO clients (client_id, metadata, created_at, updated_at)"
        " VALUES ('c', '{\"scope\": \"openid\"}', :now, :now)"
    ),
    (
        "INSERT INTO client_secrets (id, client_id, secret_hash, created_at)"
        " VALUES ('s', 'c', :hash, :now)"
    ),
    (
        "INSERT INTO users (id, username, username_key, email_verified, claims,"
        " created_at, updated_at) VALUES ('u', 'u', 'u', false, '{}', :now, :now)"
    ),
    (
        "INSERT INTO sessions (id, cookie_hash, user_id, auth_time, acr, amr, address, user_agent,"
        " created_at, seen_at, expires_at)"
        " VALUES ('o', :hash, 'u', :now, 'a', '[]', '', '', :now, :now, :now)"
    ),
    (
        "INSERT INTO authorization_codes (id, code_hash, client_id, user_id, session_id,"
        " redirect_uri, redirect_uri_sent, scope, resources, created_at, expires_at)"
        " VALUES ('a', :hash, 'c', 'u', 'o', 'x', true, 'openid', '[]', :now, :now)"
    ),
    (
        "INSERT INTO token_families (id, client_id, user_id, session_id, scope, resources,"
        " auth_time, acr, amr, created_at, expires_at)"
        " VALUES ('f', 'c', 'u', 'o', 'openid', '[]', :now, 'a', '[]', :now, :now)"
    ),
)
TABLES = (
    "clients",
    "client_secrets",
    "users",
    "sessions",
    "authorization_codes",
    "token_families",
)
AFTER = (
    "UPDATE clients SET self_registered = true, used_at = :now, registration_token_hash = :hash",
    "UPDATE client_secrets SET secret_sealed = :hash",
    "UPDATE authorization_codes SET claims = '{}'",
    "UPDATE token_families SET claims = '{}'",
    "INSERT INTO session_clients (session_id, client_id) VALUES ('o', 'c')",
)


async def _rows(database: Database, columns: dict[str, str]) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of the tables, of these columns alone."""
    async with database.engine.connect() as connection:
        return {
            name: [
                tuple(row) for row in await connection.execute(text(f"SELECT {listed} FROM {name}"))
            ]
            for name, listed in columns.items()
        }


@pytest.mark.parametrize("name", BOTH)
async def test_rows_live_through_the_second_revision_and_back(
    request: pytest.FixtureRequest, tmp_path: Path, name: BackendName
) -> None:
    settings = make_unmigrated_backend(request, tmp_path, name).settings()
    when = NOW if name == "sqlite" else datetime.fromisoformat(NOW)
    async with open_storage(settings, database_timeout=60) as (database, _):

        async def execute(statements: Sequence[str]) -> None:
            async with database.engine.begin() as connection:
                for statement in statements:
                    named = {"now": when, "hash": b"h" * 32}
                    used = {key: value for key, value in named.items() if f":{key}" in statement}
                    await connection.execute(text(statement), used)

        await upgrade(database, "0001")
        schema = await _schema(database)
        columns = {
            table: ", ".join(column[0] for column in cast("Any", schema[table])[0])
            for table in TABLES
        }
        await execute(BEFORE)
        before = await _rows(database, columns)
        assert all(len(rows) == 1 for rows in before.values())

        await upgrade(database, "0002")
        assert await _rows(database, columns) == before
        new = await _rows(
            database, {"clients": "self_registered, registration_token_hash, used_at"}
        )
        assert new == {"clients": [(False, None, None)]}
        await execute(AFTER)
        await downgrade(database, "0001")
        assert await _rows(database, columns) == before
        await upgrade(database, "0002")
        assert await _rows(database, columns) == before


async def _index_is_valid(database: Database, name: str) -> bool | None:
    """Tell whether PostgreSQL uses the index; None when there is none of that name."""
    query = text(
        "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE relname = :name"
    )
    async with database.engine.connect() as connection:
        valid: bool | None = (await connection.execute(query, {"name": name})).scalar()
        return valid


async def test_indexes_are_built_anew_where_a_build_was_interrupted(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = make_unmigrated_backend(request, tmp_path, "postgres").settings()
    async with open_storage(settings, database_timeout=60) as (database, _):
        await upgrade(database, "0002")
        async with database.engine.begin() as connection:
            await connection.execute(
                text("CREATE INDEX ix_sessions_unended_seen_at ON sessions (user_id)")
            )
            # What such a build leaves, without the effort of interrupting one.
            await connection.execute(
                text(
                    "UPDATE pg_index SET indisvalid = false"
                    " WHERE indexrelid = 'ix_sessions_unended_seen_at'::regclass"
                )
            )
        assert await _index_is_valid(database, "ix_sessions_unended_seen_at") is False

        for _ in range(2):
            await upgrade(database)
            for column in ("seen_at", "expires_at"):
                assert await _index_is_valid(database, f"ix_sessions_unended_{column}") is True
            assert await find_differences(database) == []
            await downgrade(database, "0002")
            assert await _index_is_valid(database, "ix_sessions_unended_seen_at") is None


@pytest.mark.parametrize("name", BOTH)
async def test_the_fourth_revision_is_run_again_where_it_was_interrupted(
    request: pytest.FixtureRequest, tmp_path: Path, name: BackendName
) -> None:
    """What is no index is durable before the first of them is built."""
    settings = make_unmigrated_backend(request, tmp_path, name).settings()
    async with open_storage(settings, database_timeout=60) as (database, _):
        await upgrade(database, "0004")
        schema = await _schema(database)
        async with database.engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
            await connection.execute(text("DROP INDEX ix_refresh_tokens_expires_at"))

        await upgrade(database, "0004")

        assert await _schema(database) == schema
        async with database.engine.begin() as connection:
            await connection.execute(text("DROP INDEX ix_sessions_kept_until"))
            await connection.execute(text("DROP INDEX ix_sessions_unkept_ended_at"))
            await connection.execute(text("ALTER TABLE sessions DROP COLUMN kept_until"))
        await downgrade(database, "0003")
        await upgrade(database, "0004")
        assert await _schema(database) == schema


async def test_while_the_indexes_are_built_the_service_reads_and_writes(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The build waits for a transaction that has written a session; nobody waits for it."""
    settings = make_unmigrated_backend(request, tmp_path, "postgres").settings()
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
        " AND wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with open_storage(settings, database_timeout=60) as (database, _):
        await upgrade(database, "0001")
        async with database.engine.begin() as connection:
            for statement in BEFORE:
                given = {"now": datetime.fromisoformat(NOW), "hash": b"h" * 32}
                used = {key: value for key, value in given.items() if f":{key}" in statement}
                await connection.execute(text(statement), used)
        async with database.engine.begin() as earlier, database.engine.connect() as other:
            # It holds what the build has to wait for, from before that began.
            await upgrade(database, "0002")
            await earlier.execute(text("UPDATE sessions SET address = 'x'"))
            building = asyncio.create_task(upgrade(database))
            async with asyncio.timeout(30):
                while not (await other.execute(waiting)).scalar_one():
                    await other.rollback()
                    await asyncio.sleep(0.02)
                assert not building.done()
                await other.execute(text("SET lock_timeout = '1s'"))
                await other.execute(text("SELECT count(*) FROM clients"))
                await other.execute(text("UPDATE clients SET updated_at = now()"))
                await other.execute(text("INSERT INTO session_clients VALUES ('o', 'c')"))
                await other.execute(text("DELETE FROM session_clients"))
            await other.commit()
            await earlier.commit()
            async with asyncio.timeout(30):
                await building
        assert await current_revision(database) == newest_revision()
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
