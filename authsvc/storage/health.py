"""Whether the database and Redis answer."""

import asyncio
from collections.abc import Coroutine
from typing import Final

from sqlalchemy import text

from authsvc.protocol.errors import OAuthError
from authsvc.storage.database import Database
from authsvc.storage.redis import REDIS_ERRORS, RedisClient

_PATIENCE: Final = 0.8
"""Seconds a probe waits for an answer."""
_TOO_LATE: Final = "no answer in time"
_abandoned: set[asyncio.Task[str | None]] = set()


async def probe_database(database: Database) -> str | None:
    """Return None when the database answers within 0.8 seconds, else why not."""
    return await bounded(_ask_database(database))


async def probe_redis(redis: RedisClient) -> str | None:
    """Return None when Redis answers within 0.8 seconds, else why not."""
    return await bounded(_ask_redis(redis))


async def bounded(probe: Coroutine[None, None, str | None]) -> str | None:
    """Return what ``probe`` finds, or that it took longer than 0.8 seconds.

    It is cancelled then, and not waited for: drivers take their time to give up a
    connection that hangs.
    """
    task = asyncio.create_task(probe)
    _abandoned.add(task)
    task.add_done_callback(_abandoned.discard)
    done, _ = await asyncio.wait({task}, timeout=_PATIENCE)
    if done:
        return task.result()
    task.cancel()
    return _TOO_LATE


async def _ask_database(database: Database) -> str | None:
    try:
        async with database.reading() as tx:
            await tx.execute(text("SELECT 1"))
    except OAuthError as error:
        return error.detail or _TOO_LATE
    return None


async def _ask_redis(redis: RedisClient) -> str | None:
    try:
        await redis.ping()
    except REDIS_ERRORS as error:
        return type(error).__name__
    return None
