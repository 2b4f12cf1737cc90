"""Whether the database and Redis answer."""

import asyncio
from typing import Literal

from sqlalchemy import text

from authsvc.protocol.errors import OAuthError
from authsvc.storage.changes import Changes
from authsvc.storage.database import UNANSWERED, Database
from authsvc.storage.redis import REDIS_ERRORS, RedisClient

_PATIENCE = 0.5
"""Seconds a probe of Redis waits: whoever asks for readiness often waits but one."""

Problem = tuple[Literal["degraded", "error"], str]


async def probe_database(database: Database) -> Problem | None:
    """Return None when the database can serve, else how bad it is and why.

    It is asked even while its breaker is open, which an answer closes.
    """
    question = "SELECT 0" if database.is_sqlite else "SHOW transaction_read_only"
    try:
        with database.bounded():
            async with database.reading(probing=True) as tx:
                answer = (await tx.execute(text(question))).scalar_one()
    except OAuthError as error:
        return "error", error.detail or "no answer in time"
    if answer == "on":
        return "degraded", "read-only"
    return ("degraded", UNANSWERED) if database.commit_breaker.is_open else None


async def probe_redis(redis: RedisClient, changes: Changes) -> Problem | None:
    """Return None when Redis answers and announcements arrive, else why not."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await redis.ping()
    except REDIS_ERRORS as error:
        return "degraded", type(error).__name__
    return None if changes.live else ("degraded", "announcements do not arrive")
