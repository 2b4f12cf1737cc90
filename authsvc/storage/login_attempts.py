"""Wrong passwords, counted exactly: one row a bucket, changed by one statement."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import case, delete, func, literal, select, update

from authsvc.storage.database import Transaction
from authsvc.storage.schema import Instant, login_attempts
from authsvc.storage.upsert import insert_into

_OPEN = datetime(1970, 1, 1, tzinfo=UTC)
"""What an open bucket is closed until: long past, also by the clock of another replica."""


async def count_attempt(
    tx: Transaction,
    bucket_hash: bytes,
    *,
    free: int,
    delays: Sequence[timedelta],
    now: datetime,
    window: timedelta,
) -> bool:
    """Count one attempt in the bucket; False, and nothing counted, while it is closed.

    The attempt number ``free`` closes the bucket for the first of ``delays``, each one
    after for the next, and at the end for the last of them again. One statement: of any
    number of attempts at once no more than ``free`` get through. Counting starts anew
    ``window`` after the last attempt.
    """
    bucket = login_attempts.c
    number = case((bucket.expires_at <= now, 1), else_=bucket.failures + 1)
    closed_until = case(
        (number < free, literal(_OPEN, Instant)),
        *(
            (number == free + step, literal(now + delay, Instant))
            for step, delay in enumerate(delays)
        ),
        else_=literal(now + delays[-1], Instant),
    )
    first = now + delays[0] if free <= 1 else _OPEN
    statement = (await insert_into(tx, login_attempts)).values(
        bucket_hash=bucket_hash, failures=1, blocked_until=first, expires_at=now + window
    )
    rows = await tx.execute(
        statement.on_conflict_do_update(
            index_elements=[bucket.bucket_hash],
            set_={
                "failures": number,
                "blocked_until": closed_until,
                "expires_at": now + window,
            },
            where=bucket.blocked_until <= now,
        ).returning(bucket.failures)
    )
    return rows.first() is not None


async def find_closed_until(
    tx: Transaction, bucket_hashes: Sequence[bytes], *, now: datetime
) -> datetime | None:
    """Return when the last of the buckets opens, or None when all are open."""
    rows = await tx.execute(
        select(func.max(login_attempts.c.blocked_until, type_=Instant)).where(
            login_attempts.c.bucket_hash.in_(bucket_hashes), login_attempts.c.blocked_until > now
        )
    )
    closed_until: datetime | None = rows.scalar()
    return closed_until


async def take_back_attempt(tx: Transaction, bucket_hash: bytes) -> None:
    """Uncount one attempt, which turned out right, and open the bucket."""
    await tx.execute(
        update(login_attempts)
        .where(login_attempts.c.bucket_hash == bucket_hash, login_attempts.c.failures > 0)
        .values(failures=login_attempts.c.failures - 1, blocked_until=_OPEN)
    )


async def forget_attempts(tx: Transaction, bucket_hash: bytes) -> None:
    """Forget what was counted in the bucket."""
    await tx.execute(delete(login_attempts).where(login_attempts.c.bucket_hash == bucket_hash))
