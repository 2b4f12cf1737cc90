"""The harm that is done to the servers, each undone at the end of its block."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import redis

from tests.faults.world import World

ALL: Final = (0, 1, 2)
_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'authsvc'"
_DELAY = 0.15
"""Seconds that each piece of data takes to and from a slow PostgreSQL."""
_COMMON = 10
"""Seconds in which a replica of Redis has the copy."""


@dataclass(frozen=True)
class Harm:
    """What is done; ``mode`` says what still works then, at the replicas that it meets."""

    name: str
    mode: str
    do: Callable[[World], AbstractAsyncContextManager[None]]
    meets: Sequence[int] = ALL


@asynccontextmanager
async def stop_postgres(world: World) -> AsyncIterator[None]:
    """Stop it."""
    await asyncio.to_thread(world.postgres.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(world.postgres.start)


@asynccontextmanager
async def hang_postgres(world: World) -> AsyncIterator[None]:
    """Freeze it: it accepts connections, and answers nothing."""
    world.postgres.pause()
    try:
        yield
    finally:
        world.postgres.resume()


@asynccontextmanager
async def swallow(world: World) -> AsyncIterator[None]:
    """Lose everything on the way."""
    world.to_postgres.swallow()
    try:
        yield
    finally:
        world.to_postgres.flow()


@asynccontextmanager
async def use_up_connections(world: World) -> AsyncIterator[None]:
    """Take every connection that the server has."""
    held: list[Any] = []
    try:
        held.append(await asyncpg.connect(world.database_url, timeout=10))
        while True:
            await held[0].execute(_CUT)
            try:
                while True:
                    held.append(await asyncpg.connect(world.database_url, timeout=10))
            except asyncpg.TooManyConnectionsError:
                pass
            if not await held[0].fetch(_CUT):
                break
        yield
    finally:
        await asyncio.gather(*(connection.close() for connection in held))


@asynccontextmanager
async def make_read_only(world: World) -> AsyncIterator[None]:
    """Let it refuse all writing, as a standby does."""
    connection = await asyncpg.connect(world.database_url)
    try:
        await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await _reload(connection, "on")
        yield
    finally:
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()


async def _reload(connection: Any, wanted: str) -> None:
    await connection.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(_COMMON):
        while await connection.fetchval("SHOW default_transaction_read_only") != wanted:  # noqa: ASYNC110  # it is another process
            await asyncio.sleep(0.01)


@asynccontextmanager
async def lock_refresh_tokens(world: World) -> AsyncIterator[None]:
    """Lock a table, as a careless migration does."""
    connection = await asyncpg.connect(world.database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE refresh_tokens IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def slow_postgres(world: World) -> AsyncIterator[None]:
    """Let everything take its time on the way."""
    world.to_postgres.delay = _DELAY
    try:
        yield
    finally:
        world.to_postgres.delay = 0.0


@asynccontextmanager
async def stop_redis(world: World) -> AsyncIterator[None]:
    """Stop it; it comes back empty."""
    await asyncio.to_thread(world.redis.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(world.redis.start)


@asynccontextmanager
async def hang_redis(world: World) -> AsyncIterator[None]:
    """Freeze it."""
    world.redis.pause()
    try:
        yield
    finally:
        world.redis.resume()


@asynccontextmanager
async def flush_redis(world: World) -> AsyncIterator[None]:
    """Let it forget everything."""
    await asyncio.to_thread(world.redis.flush)
    yield


@asynccontextmanager
async def restart_redis(world: World) -> AsyncIterator[None]:
    """Stop it and start it again at once: it is empty."""
    async with stop_redis(world):
        pass
    yield


@asynccontextmanager
async def fail_over_redis(world: World) -> AsyncIterator[None]:
    """Promote a replica, to which the address leads from then on; afterwards back again."""
    there, back = (urlsplit(server.url) for server in (world.redis, world.standby))
    with redis.Redis.from_url(world.standby.url) as standby:
        await asyncio.to_thread(_copy_from, standby, str(there.password), there.port)
        standby.config_set("requirepass", str(there.password))
        world.redis.pause()
        standby.replicaof("NO", "ONE")
        world.to_redis.lead_to(back.port or 0)
        try:
            yield
        finally:
            world.redis.resume()
            world.to_redis.lead_to(there.port or 0)
            standby.config_set("requirepass", str(back.password))


def _copy_from(standby: "redis.Redis", password: str, port: int | None) -> None:
    standby.config_set("masterauth", password)
    standby.replicaof("127.0.0.1", str(port))
    while standby.info("replication").get("master_link_status") != "up":
        pass


@asynccontextmanager
async def stop_both(world: World) -> AsyncIterator[None]:
    """Stop PostgreSQL and Redis."""
    async with stop_redis(world), stop_postgres(world):
        yield


HARMS: Final = (
    Harm("PostgreSQL stopped", "PostgreSQL away", stop_postgres),
    Harm("PostgreSQL hung", "PostgreSQL away", hang_postgres),
    Harm("PostgreSQL unreachable", "PostgreSQL away", swallow, meets=(2,)),
    Harm("PostgreSQL out of connections", "PostgreSQL away", use_up_connections),
    Harm("PostgreSQL read-only", "PostgreSQL read-only", make_read_only),
    Harm("refresh tokens locked", "a table locked", lock_refresh_tokens),
    Harm("PostgreSQL slow", "PostgreSQL slow", slow_postgres, meets=(2,)),
    Harm("Redis stopped", "Redis away", stop_redis),
    Harm("Redis hung", "Redis away", hang_redis),
    Harm("Redis flushed", "Redis emptied or replaced", flush_redis),
    Harm("Redis restarted", "Redis emptied or replaced", restart_redis),
    Harm("Redis failed over", "Redis emptied or replaced", fail_over_redis),
    Harm("both stopped", "both away", stop_both),
)
