"""Somebody who owns the tables but lacks the master key, and changes them with SQL."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import asyncpg

from authsvc.storage.schema import APPEND_ONLY


def tamper(database_url: str, *statements: str) -> None:
    """Run the statements, with the triggers that would refuse them out of the way."""
    if database_url.startswith("sqlite:///"):
        _tamper_with_sqlite(Path(database_url.removeprefix("sqlite:///")), statements)
        return
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, _tamper_with_postgres(database_url, statements)).result()


def _tamper_with_sqlite(path: Path, statements: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in (*statements, *(sql for _, sql in triggers)):
            connection.execute(statement)
        connection.execute("COMMIT")


async def _tamper_with_postgres(url: str, statements: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        async with connection.transaction():
            for state, inner in (("DISABLE", statements), ("ENABLE", ())):
                for table in APPEND_ONLY:
                    await connection.execute(f"ALTER TABLE {table} {state} TRIGGER USER")
                for statement in inner:
                    await connection.execute(statement)
    finally:
        await connection.close()
