"""Partitions the refresh tokens by time, and shows what that does to the statements of a refresh.

``python -m benchmarks.try_partitions`` runs ``partitions.sql`` on a real PostgreSQL and prints
JSON: how the service's own statements are planned before and after, how many pages each looks
at, and what is refused.
"""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import event

from authsvc.clock import Clock
from authsvc.jobs.purge_expired import BATCH
from authsvc.storage import migrations
from authsvc.storage.database import Database
from authsvc.storage.engines import open_database
from authsvc.storage.purge import PURGES, Cutoffs
from authsvc.storage.refresh_tokens import (
    consume_refresh_token,
    find_refresh_token,
    save_refresh_token,
)
from benchmarks.fill import ROWS
from tests.servers import start_postgres

_SCRIPT = Path(__file__).with_name("partitions.sql")
_DAYS = 14
_TOKENS_OF_A_FAMILY = 12
_NEW = bytes(32)
_FILL = (
    "INSERT INTO refresh_tokens (token_hash, family_id, created_at, expires_at)"
    " SELECT sha256(('{name}' || i)::bytea), f.id, now(),"
    " date_trunc('day', now()) + interval '{offset} days' + i * interval '{days} days' / {rows}"
    " FROM generate_series(1, {rows}) i JOIN token_families f"
    " ON f.id = '018f0000-0000-7000-8000-' || lpad(to_hex(i % {families} + 1), 12, '0')"
)


async def try_partitions(url: str, rows: int) -> dict[str, Any]:
    """Return what the statements do on one table and on a day's partitions, ``rows`` in each."""
    database = open_database(url, pool_size=2, timeout=60)
    connection = await asyncpg.connect(url)
    try:
        await migrations.upgrade(database)
        await connection.execute(
            "INSERT INTO clients (client_id, metadata, created_at, updated_at)"
            " VALUES ('app', '{}', now(), now())"
        )
        for table in ("users", "sessions", "token_families"):
            await connection.execute(ROWS[table].insert(table, 1, rows // _TOKENS_OF_A_FAMILY))
        await _fill(connection, "one", rows, offset=0)
        found = {"one table": await _explain(database, connection, "one")}
        seconds = await _partition(connection)
        # In time only the partitions of days are left: what came before them is over.
        await connection.execute("DROP TABLE refresh_tokens_before")
        await _fill(connection, "day", rows, offset=16)
        found["partitions"] = await _explain(database, connection, "day")
        return {
            "rows": rows,
            "plans": found,
            "switch_ms": round(seconds * 1000),
            "differences": len(await migrations.find_differences(database)),
            "refused": await _refused(connection),
            "same_hash_twice": await _is_taken_twice(connection),
            "detach_and_drop_ms": await _drop(connection),
        }
    finally:
        await connection.close()
        await database.close()


async def _fill(connection: asyncpg.Connection, name: str, rows: int, *, offset: int) -> None:
    families = rows // _TOKENS_OF_A_FAMILY
    fill = _FILL.format(name=name, rows=rows, days=_DAYS, offset=offset, families=families)
    await connection.execute(fill, timeout=600)
    await connection.execute("VACUUM ANALYZE", timeout=600)


async def _partition(connection: asyncpg.Connection) -> float:
    """Run the script; return the seconds of its last step, which locks the table."""
    began = time.perf_counter()
    for step in _SCRIPT.read_text().split("-- step")[1:]:
        began = time.perf_counter()
        await connection.execute(step.partition("\n")[2], timeout=600)
    return time.perf_counter() - began


async def _explain(
    database: Database, connection: asyncpg.Connection, name: str
) -> dict[str, dict[str, int]]:
    """Run what a refresh and the purge run; return scans, pages and planning time of each."""
    token = await connection.fetchval(f"SELECT sha256('{name}500'::bytea)")
    family = await connection.fetchval("SELECT min(id) FROM token_families")
    now, found = Clock().now(), {}
    async with database.transaction() as tx, _listening(database) as statements:
        over = await connection.fetchval("SELECT max(expires_at) FROM refresh_tokens")
        cutoffs = Cutoffs(now=now, expired=over, codes=now, dead_entries=now)
        await find_refresh_token(tx, token)
        spend = partial(
            consume_refresh_token, tx, token, successor_hash=_NEW, successor_sealed=_NEW, now=now
        )
        spent = [await spend() is not None for _ in range(2)]
        await save_refresh_token(tx, _NEW, family, now=now, expires_at=over)
        purged = (await PURGES["refresh_tokens"](tx, cutoffs, BATCH)).deleted
        # So that each plan is shown of the same rows.
        await (await tx.connection()).rollback()
    if spent != [True, False] or not purged:
        raise AssertionError("a token is not spent once, or not purged")
    names = ("find", "spend", "spend again", "save", "purge: find", "purge: delete")
    for label, (statement, parameters) in zip(names, statements, strict=False):
        async with database.transaction() as tx:
            raw = await (await tx.connection()).exec_driver_sql(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
            )
            plan = raw.scalar_one()
            await (await tx.connection()).rollback()
        [document] = json.loads(plan) if isinstance(plan, str) else plan
        found[label] = {
            "scans": _scans(document["Plan"]),
            "pages": document["Plan"]["Shared Hit Blocks"] + document["Plan"]["Shared Read Blocks"],
            "planning_us": round(document["Planning Time"] * 1000),
        }
    return found


@asynccontextmanager
async def _listening(database: Database) -> AsyncIterator[list[tuple[str, Any]]]:
    heard: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, given: Any, _context: Any, _m: bool) -> None:
        if "statement_timeout" not in statement:
            heard.append((statement, given))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield heard
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _scans(plan: dict[str, Any]) -> int:
    """Return how many tables and partitions of refresh tokens a plan looks into."""
    is_one = (
        plan.get("Relation Name", "").startswith("refresh_tokens") and "Scan" in plan["Node Type"]
    )
    return is_one + sum(_scans(below) for below in plan.get("Plans", ()))


async def _refused(connection: asyncpg.Connection) -> dict[str, str]:
    """Return what PostgreSQL says to constraints that single use rests on elsewhere."""
    tried = {
        "unique without the time": "ALTER TABLE refresh_tokens ADD UNIQUE (token_hash)",
        "revocations by time": "CREATE TABLE r (LIKE revocations, PRIMARY KEY (kind, value))"
        " PARTITION BY RANGE (expires_at)",
        "assertions by time": "CREATE TABLE a (LIKE client_assertions,"
        " PRIMARY KEY (assertion_hash)) PARTITION BY RANGE (expires_at)",
    }
    refused = {}
    for name, statement in tried.items():
        try:
            await connection.execute(statement)
        except asyncpg.PostgresError as error:
            refused[name] = str(error)
    return refused


async def _is_taken_twice(connection: asyncpg.Connection) -> bool:
    """Tell whether the same token may be stored a second time, of another day."""
    done: str = await connection.execute(
        "INSERT INTO refresh_tokens (token_hash, family_id, created_at, expires_at)"
        " SELECT token_hash, family_id, created_at, expires_at + interval '1 day'"
        " FROM refresh_tokens WHERE token_hash = sha256('day500'::bytea)"
    )
    return done == "INSERT 0 1"


async def _drop(connection: asyncpg.Connection) -> int:
    began = time.perf_counter()
    await connection.execute(
        "ALTER TABLE refresh_tokens DETACH PARTITION refresh_tokens_0 CONCURRENTLY"
    )
    await connection.execute("DROP TABLE refresh_tokens_0")
    return round((time.perf_counter() - began) * 1000)


def main() -> None:
    """Try it and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    rows = parser.parse_args().rows
    with start_postgres() as postgres:
        print(json.dumps(asyncio.run(try_partitions(postgres.create_database(), rows)), indent=2))


if __name__ == "__main__":
    main()
