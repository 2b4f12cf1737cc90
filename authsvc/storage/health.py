"""Whether the database and Redis answer."""

import asyncio

from sqlalchemy import text

from authsvc.protocol.errors import OAuthError
from authsvc.storage.database import Database
from authsvc.storage.redis import REDIS_ERRORS, RedisClient

_PATIENCE = 1.0
"""Seconds a probe waits for an answer."""


async def probe_database(database: Database) -> str | None:
    """Return None when the database answers, else why not."""
    try:
        async with asyncio.timeout(_PATIENCE), database.reading() as tx:
            await tx.execute(text("SELECT 1"))
    except (OAuthError, TimeoutError) as error:
        return getattr(error, "detail", None) or "no answer in time"
    return None


async def probe_redis(redis: RedisClient) -> str | None:
    """Return None when Redis answers, else why not."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await redis.ping()
    except REDIS_ERRORS as error:
        return type(error).__name__
    return None
