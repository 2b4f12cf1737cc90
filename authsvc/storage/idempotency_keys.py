"""Answers to requests with an ``Idempotency-Key``, so that a repetition gets the same one."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from authsvc.storage.database import Transaction
from authsvc.storage.schema import idempotency_keys
from authsvc.storage.upsert import insert_into


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What the first request with the key was, and what it got."""

    request_hash: bytes
    status: int | None
    response_sealed: bytes | None


async def claim_idempotency_key(
    tx: Transaction,
    key_hash: bytes,
    request_hash: bytes,
    *,
    now: datetime,
    expires_at: datetime,
) -> StoredAnswer | None:
    """Claim the key for this request: None when it is ours, else the answer of the first.

    A request that comes while the first is under way waits for it: both databases make
    the second insertion wait for the first transaction.
    """
    await tx.execute(
        delete(idempotency_keys).where(
            idempotency_keys.c.key_hash == key_hash, idempotency_keys.c.expires_at <= now
        )
    )
    statement = (await insert_into(tx, idempotency_keys)).values(
        key_hash=key_hash, request_hash=request_hash, created_at=now, expires_at=expires_at
    )
    claimed = await tx.execute(
        statement.on_conflict_do_nothing().returning(idempotency_keys.c.key_hash)
    )
    if claimed.first() is not None:
        return None
    row = (
        await tx.execute(
            select(
                idempotency_keys.c.request_hash,
                idempotency_keys.c.status,
                idempotency_keys.c.response_sealed,
            ).where(idempotency_keys.c.key_hash == key_hash)
        )
    ).one()
    return StoredAnswer(*row)


async def save_answer(
    tx: Transaction, key_hash: bytes, *, status: int, response_sealed: bytes
) -> None:
    """Store the answer of the request that claimed the key."""
    await tx.execute(
        update(idempotency_keys)
        .where(idempotency_keys.c.key_hash == key_hash)
        .values(status=status, response_sealed=response_sealed)
    )
