"""The check of migrations refuses what would lock the service out, and lets the rest be."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from authsvc.storage import migrations, revisions
from authsvc.storage.database import Database
from authsvc.storage.engines import open_database
from tests.migrations import check
from tests.migrations.check import find_problems
from tests.migrations.watch import watch
from tests.servers import PostgresServer

TABLES = (
    "CREATE TABLE parents (id bigint PRIMARY KEY)",
    "CREATE TABLE empty (id bigint PRIMARY KEY)",
    (
        "CREATE TABLE things (id bigint PRIMARY KEY, name varchar(10) NOT NULL, note text,"
        " parent bigint)"
    ),
    "INSERT INTO parents SELECT generate_series(1, 3)",
    "INSERT INTO things SELECT n, 'name', 'note', n FROM generate_series(1, 3) n",
)
REFUSED = {
    "an index that keeps writers out": (
        "CREATE INDEX ix ON things (name)",
        "reads all of things",
        "require-concurrent-index-creation",
    ),
    "a required column without a default": (
        "ALTER TABLE empty ADD COLUMN size int NOT NULL",
        "adding-required-field",
    ),
    "NOT NULL on a column that is there": (
        "ALTER TABLE things ALTER COLUMN note SET NOT NULL",
        "reads all of things",
        "adding-not-nullable-field",
    ),
    "another type": (
        "ALTER TABLE things ALTER COLUMN name TYPE varchar(9) USING left(name, 9)",
        "changing-column-type",
        "rewrites things",
    ),
    "a default that differs by row": (
        "ALTER TABLE things ADD COLUMN dice float DEFAULT random()",
        "rewrites things",
        "adding-field-with-default",
    ),
    "a check that is validated at once": (
        "ALTER TABLE things ADD CONSTRAINT positive CHECK (id > 0)",
        "reads all of things",
        "constraint-missing-not-valid",
    ),
    "a reference that is validated at once": (
        "ALTER TABLE things ADD CONSTRAINT fk FOREIGN KEY (parent) REFERENCES parents (id)",
        "reads all of things",
        "constraint-missing-not-valid",
    ),
    "a unique constraint": (
        "ALTER TABLE things ADD CONSTRAINT uq UNIQUE (parent)",
        "reads all of things",
        "disallowed-unique-constraint",
    ),
    "a column taken away": ("ALTER TABLE things DROP COLUMN note", "ban-drop-column"),
    "a column renamed": ("ALTER TABLE things RENAME COLUMN note TO text", "renaming-column"),
    "a table renamed": ("ALTER TABLE things RENAME TO objects", "renaming-table", "takes things"),
    "a table taken away": ("DROP TABLE things", "ban-drop-table", "takes things away"),
    "an index taken away": ("DROP INDEX at_hand", "require-concurrent-index-deletion"),
    "all rows changed at once": ("UPDATE things SET note = ''", "changes all rows of things"),
    "all rows removed at once": ("DELETE FROM things", "changes all rows of things"),
    "a table written anew": ("CLUSTER things USING things_pkey", "rewrites things"),
}
ACCEPTED = {
    "a table with its index": (
        "CREATE TABLE more (id bigint PRIMARY KEY, name text NOT NULL)",
        "CREATE INDEX ix_more ON more (name)",
        "ALTER TABLE more ADD CONSTRAINT uq_more UNIQUE (name)",
    ),
    "a column that may be empty": ("ALTER TABLE things ADD COLUMN size int",),
    "a column with one default": ("ALTER TABLE things ADD COLUMN size int NOT NULL DEFAULT 0",),
    "a check for what comes": (
        "ALTER TABLE things ADD CONSTRAINT positive CHECK (id > 0) NOT VALID",
    ),
    "a reference for what comes": (
        (
            "ALTER TABLE things ADD CONSTRAINT fk FOREIGN KEY (parent) REFERENCES parents (id)"
            " NOT VALID"
        ),
    ),
    "rows in parts": ("UPDATE things SET note = '' WHERE id IN (SELECT id FROM things LIMIT 100)",),
}


@pytest.fixture
async def database(postgres_server: PostgresServer) -> AsyncIterator[Database]:
    """A PostgreSQL with two tables and rows in them."""
    url = postgres_server.create_database()
    opened = open_database(url, pool_size=2, timeout=30)
    async with opened.engine.begin() as connection:
        for statement in (*TABLES, "CREATE INDEX at_hand ON things (parent)"):
            await connection.execute(text(statement))
    yield opened
    await opened.close()
    postgres_server.drop_database(url)


async def _watch(database: Database, *statements: str) -> list[str]:
    async def migrate() -> None:
        async with database.engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    return await watch(database, migrate)


@pytest.mark.parametrize("example", REFUSED.values(), ids=REFUSED.keys())
async def test_what_locks_out_the_service_or_the_old_version_is_refused(
    database: Database, example: tuple[str, ...]
) -> None:
    statement, *expected = example
    problems = await _watch(database, statement)
    for beginning in expected:
        assert any(problem.startswith(beginning) for problem in problems), problems


async def test_reading_one_table_while_another_is_locked_is_refused(
    database: Database,
) -> None:
    problems = await _watch(
        database,
        "ALTER TABLE things ADD COLUMN size int",
        "CREATE TABLE copied AS SELECT * FROM parents",
    )
    assert any(
        problem.startswith("reads all of parents while nobody can write to things")
        for problem in problems
    ), problems


@pytest.mark.parametrize("statements", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_what_expands_is_accepted(database: Database, statements: tuple[str, ...]) -> None:
    assert await _watch(database, *statements) == []


async def test_an_index_built_concurrently_is_accepted(database: Database) -> None:
    async def migrate() -> None:
        async with database.engine.connect() as connection:
            apart = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await apart.execute(text("CREATE INDEX CONCURRENTLY ix ON things (name)"))

    assert await watch(database, migrate) == []


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations, to which a test may add."""
    copy = tmp_path / "migrations"
    shutil.copytree(revisions.SCRIPTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrations, "SCRIPTS", copy)
    monkeypatch.setattr(revisions, "SCRIPTS", copy)
    return copy


async def test_every_revision_here_is_accepted(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database()
    assert not any((await find_problems(url)).values())
    postgres_server.drop_database(url)


async def test_what_was_accepted_of_a_revision_is_still_there_to_accept(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that is needed no more is taken away."""
    accepted = check.ACCEPTED
    monkeypatch.setattr(check, "ACCEPTED", {})
    url = postgres_server.create_database()
    found = await find_problems(url)
    for revision, beginnings in accepted.items():
        for beginning in beginnings:
            assert any(problem.startswith(beginning) for problem in found[revision])
    postgres_server.drop_database(url)


async def test_one_more_revision_that_locks_is_refused(
    postgres_server: PostgresServer, scripts: Path
) -> None:
    newest = revisions.newest_revision()
    (scripts / "versions" / "9999_bad.py").write_text(
        f'"""Bad."""\n\nfrom alembic import op\n\nrevision = "9999"\n'
        f'down_revision = "{newest}"\nbranch_labels = None\ndepends_on = None\n\n\n'
        'def upgrade() -> None:\n    op.create_index("ix_bad", "refresh_tokens", ["expires_at"])\n'
    )
    url = postgres_server.create_database()
    found = await find_problems(url)
    assert {revision for revision, problems in found.items() if problems} == {"9999"}
    assert any("reads all of refresh_tokens" in problem for problem in found["9999"])
    postgres_server.drop_database(url)
