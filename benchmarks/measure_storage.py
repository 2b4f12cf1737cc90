"""Measures what rows, revocations and hashes cost, on a real PostgreSQL and a real Redis.

``python -m benchmarks.measure_storage`` prints JSON; ``--rows`` says how many rows a table
gets. Half a million take a few minutes and two gigabytes.
"""

import argparse
import asyncio
import gc
import json
import time
import tracemalloc
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import redis
from argon2 import PasswordHasher, Type

from authsvc.clock import Clock
from authsvc.config import Settings
from authsvc.jobs.purge_expired import BATCH
from authsvc.storage import migrations
from authsvc.storage.changes import Changes
from authsvc.storage.database import Database
from authsvc.storage.engines import open_database
from authsvc.storage.identifiers import new_id
from authsvc.storage.purge import PURGES, Cutoffs
from authsvc.storage.redis import open_redis
from authsvc.storage.revocations import Revocation, RevocationList
from benchmarks.fill import ROWS
from tests.servers import start_postgres, start_redis

_STEPS = 20
_SPEND = (
    "UPDATE refresh_tokens SET consumed_at = now() WHERE token_hash = sha256(('r' || $1)::bytea)"
)
_SUCCEED = (
    "INSERT INTO refresh_tokens (token_hash, family_id, created_at, expires_at)"
    " SELECT sha256(('s' || $1)::bytea), family_id, now(), now() FROM refresh_tokens"
    " WHERE token_hash = sha256(('r' || $1)::bytea)"
)


async def measure_tables(url: str, rows: int) -> dict[str, int]:
    """Fill the tables as use does, and return the bytes a row of each takes with its indexes.

    Rows come, change and are vacuumed in steps, so that space is used again as it is in time.
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "INSERT INTO clients (client_id, metadata, created_at, updated_at)"
            " VALUES ('app', '{}', now(), now())"
        )
        sizes = {}
        for table, filled in ROWS.items():
            for first in range(1, rows + 1, rows // _STEPS):
                last = min(first + rows // _STEPS - 1, rows)
                await connection.execute(filled.insert(table, first, last), timeout=600)
                for update in filled.updates(table, first, last):
                    await connection.execute(update, timeout=600)
                await connection.execute(f"VACUUM {table}", timeout=600)
            size = await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", table)
            sizes[table] = round(size / rows)
        await connection.execute("ANALYZE")
        return sizes
    finally:
        await connection.close()


async def measure_wal_after_checkpoint(url: str, rows: int, times: int) -> dict[str, int]:
    """Return the WAL bytes of a refresh soon after a checkpoint, by ``wal_compression``.

    PostgreSQL writes each page as a whole the first time it is changed after a checkpoint,
    against torn writes (``full_page_writes``). The tokens are the newest, as in use: their rows
    lie together, and their hashes all over the index.
    """
    connection = await asyncpg.connect(url)
    try:
        found = {}
        for turn, compression in enumerate(("off", "pglz")):
            await connection.execute(f"SET wal_compression = {compression}")
            await connection.execute("CHECKPOINT", timeout=600)
            before: Any = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
            for number in range(times):
                row = str(rows - turn * times - number)
                async with connection.transaction():
                    await connection.execute(_SPEND, row)
                    await connection.execute(_SUCCEED, row)
            written: Any = await connection.fetchval(
                "SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", before
            )
            found[compression] = round(int(written) / times)
        return found
    finally:
        await connection.close()


async def measure_purge(database: Database, batches: int) -> int:
    """Return the rows a second that the purge takes out of the tokens, without its pauses."""
    now = Clock().now()
    cutoffs = Cutoffs(now=now, expired=now, codes=now, dead_entries=now)
    began, deleted = time.perf_counter(), 0
    for _ in range(batches):
        async with database.transaction() as tx:
            deleted += (await PURGES["refresh_tokens"](tx, cutoffs, BATCH)).deleted
    if deleted != batches * BATCH:
        raise AssertionError(f"{deleted} rows were there to purge")
    return round(deleted / (time.perf_counter() - began))


async def measure_revocations(database: Database, redis_url: str, entries: int) -> dict[str, int]:
    """Return the bytes of an entry of the list: in PostgreSQL, in Redis, in a process."""
    client, clock = open_redis(redis_url), Clock()
    revocations = RevocationList(database, client, Changes(database, client), clock)
    with redis.Redis.from_url(redis_url) as looking:
        empty: Any = looking.info("memory")
        gc.collect()
        tracemalloc.start()
        await _add(database, revocations, entries)
        gc.collect()
        process, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        full: Any = looking.info("memory")
    await client.aclose()
    if revocations.listed != entries or revocations.unshared:
        raise AssertionError("an entry is not in memory, or not in Redis")
    async with database.engine.connect() as connection:
        size = (
            await connection.exec_driver_sql("SELECT pg_total_relation_size('revocations')")
        ).scalar_one()
    return {
        "table_bytes": round(size / entries),
        "redis_bytes": round((full["used_memory"] - empty["used_memory"]) / entries),
        "process_bytes": round(process / entries),
    }


async def measure_learning(database: Database, redis_url: str, entries: int) -> dict[str, float]:
    """Return CPU microseconds that an entry of another process costs one that runs on.

    It is heard by itself, read at the next poll, and never again.
    """
    client, clock = open_redis(redis_url), Clock()
    changes = Changes(database, client)
    revocations = RevocationList(database, client, changes, clock)
    others = RevocationList(database, client, Changes(database, client), clock)
    async with client.pubsub() as subscription:
        await subscription.subscribe(changes.channel)
        await revocations._reload(everything=True)
        await _add(database, others, entries, at_once=1)
        began = time.process_time()
        while revocations.listed < others.listed:
            message = await subscription.get_message(ignore_subscribe_messages=True, timeout=10)
            if message is not None:
                changes._receive(orjson.loads(message["data"]))
        await revocations._reload(everything=False)
        used = time.process_time() - began
    await client.aclose()
    return {"learnt_cpu_us": round(used / entries * 1e6, 1)}


async def _add(
    database: Database, revocations: RevocationList, entries: int, *, at_once: int = 500
) -> None:
    for _ in range(entries // at_once):
        now = revocations._clock.now()
        made = [
            Revocation("session", new_id(now), now, now + timedelta(hours=1))
            for _ in range(at_once)
        ]
        async with database.transaction() as tx:
            await revocations.add(tx, made)


def measure_argon2(hashes: int = 20) -> dict[str, float]:
    """Return CPU seconds, of all lanes, and bytes of one hash with the default settings."""
    settings = Settings()
    hasher = PasswordHasher(
        time_cost=settings.argon2_time_cost,
        memory_cost=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        type=Type.ID,
    )
    cpu = time.process_time()
    for _ in range(hashes):
        hasher.hash("correct horse battery staple")
    return {
        "cpu_seconds": round((time.process_time() - cpu) / hashes, 3),
        "bytes": settings.argon2_memory_kib * 1024,
    }


async def measure(postgres_url: str, redis_url: str, rows: int) -> dict[str, Any]:
    """Return all that is measured on the servers; the database is empty."""
    database = open_database(postgres_url, pool_size=2, timeout=60)
    try:
        await migrations.upgrade(database)
        return {
            "revocation": {
                **await measure_revocations(database, redis_url, min(rows, 50_000)),
                **await measure_learning(database, redis_url, min(rows, 5_000)),
            },
            "bytes_per_row": await measure_tables(postgres_url, rows),
            "wal_bytes_of_refresh_after_checkpoint": await measure_wal_after_checkpoint(
                postgres_url, rows, min(1_000, rows // 4)
            ),
            "purged_rows_a_second": await measure_purge(database, min(200, rows // BATCH // 2)),
        }
    finally:
        await database.close()


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    rows = parser.parse_args().rows
    found: dict[str, Any] = {"rows": rows, "argon2": measure_argon2()}
    production = {"wal_level": "replica", "full_page_writes": "on", "max_wal_size": "4GB"}
    with start_redis() as server, start_postgres(**production) as postgres:
        urls = postgres.create_database(), server.create_database()
        found.update(asyncio.run(measure(*urls, rows)))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
