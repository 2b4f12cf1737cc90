"""Measures what one request costs a served process, PostgreSQL and its WAL.

``python -m benchmarks.measure_requests`` serves one process on a real PostgreSQL and a real
Redis, asks it and prints JSON; ``--times`` says how often. CPU time of the servers' processes
is counted, not requests a second: it says little of what else the machine does, and the load
itself is not in it.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import asyncpg
import httpx
import psutil
from redis.asyncio import Redis

from benchmarks.load import Load, serve_for_load
from tests.served import Served
from tests.servers import start_postgres, start_redis

Ask = Callable[[], Awaitable[Any]]


class Meter:
    """Counts CPU seconds of the service and of PostgreSQL, and what is written."""

    def __init__(self, served: Served, database: asyncpg.Connection, idle_seconds: float) -> None:
        self._service = psutil.Process(served.process.pid)
        self._database = database
        self._idle_seconds = idle_seconds

    async def _read(self) -> tuple[float, ...]:
        """Return the instant, and what was spent until then."""
        # The parent of our backend is the server; its other children are all backends.
        backend = psutil.Process(await self._database.fetchval("SELECT pg_backend_pid()"))
        service = [self._service, *self._service.children(recursive=True)]
        # Transactions that write take a number each; PostgreSQL's own count of commits is late.
        written = await self._database.fetchrow(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
            " (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint,"
            " (SELECT count(*) FROM audit_events)"
        )
        postgres = _cpu_seconds((backend.parent() or backend).children())
        return time.perf_counter(), _cpu_seconds(service), postgres, *written

    def memory(self) -> int:
        """Return the bytes that the service's process has in memory."""
        return int(self._service.memory_info().rss)

    async def cost(self, ask: Ask, times: int) -> dict[str, float]:
        """Return what one of ``times`` requests cost, without what goes on beside them.

        Heartbeats and polls cost the same however much is asked: they are measured before.
        """
        await ask()
        idle = await self._read()
        await asyncio.sleep(self._idle_seconds)
        before = await self._read()
        for _ in range(times):
            await ask()
        after = await self._read()
        share = (after[0] - before[0]) / (before[0] - idle[0])
        service, postgres, transactions, wal, events = (
            max(0.0, end - begin - share * (begin - start)) / times
            for start, begin, end in list(zip(idle, before, after, strict=True))[1:]
        )
        return {
            "cpu_ms": round(service * 1000, 2),
            "postgres_cpu_ms": round(postgres * 1000, 2),
            "transactions": round(transactions, 1),
            "wal_bytes": round(wal),
            "audit_events": round(events, 1),
        }


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


async def measure(
    served: Served,
    database_url: str,
    redis_url: str,
    app: tuple[str, str],
    given: argparse.Namespace,
) -> dict[str, Any]:
    """Return the cost of each kind of request, of a heartbeat heard, and the memory after them."""
    database, times = await asyncpg.connect(database_url), given.times
    try:
        async with (
            httpx.AsyncClient(base_url=served.issuer, timeout=30) as http,
            Redis.from_url(redis_url) as redis,
        ):
            meter, load = Meter(served, database, given.idle), Load(http, app)
            # In this order: what is asked about a token comes soon after it was issued.
            asked = {
                "discovery": (load.discovery, times),
                "client_credentials": (load.client_credentials, times),
                "revocation": (load.revocation, times - 1),
                "sign_in": (load.sign_in, max(2, times // 8)),
                "refresh": (load.refresh, times),
                "introspection": (load.introspection, times),
                "userinfo": (load.userinfo, times),
            }
            requests = {name: await meter.cost(*how) for name, how in asked.items()}
            memory = meter.memory()
            # Last of all: whose heartbeat ends seems to have fallen silent.
            heard = await meter.cost(partial(_beat, redis), 10 * times)
            return {
                "requests": requests,
                "process_bytes": memory,
                "heartbeat_cpu_us": round(heard["cpu_ms"] * 1000),
            }
    finally:
        await database.close()


async def _beat(redis: Redis) -> None:
    """Publish what each process does five times a second."""
    beat = {"beat": "another", "at": time.monotonic(), "untold": 0}
    await redis.publish("authsvc:changes:0", json.dumps(beat))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=400, help="requests of each kind")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds to measure without load")
    given = parser.parse_args()
    with (
        start_postgres(wal_level="replica", full_page_writes="on", autovacuum="off") as postgres,
        start_redis() as redis,
    ):
        urls = postgres.create_database(), redis.create_database()
        with serve_for_load(*urls) as (served, app):
            found = asyncio.run(measure(served, *urls, app, given))
            print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
