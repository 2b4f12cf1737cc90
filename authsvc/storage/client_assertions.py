"""JWTs that clients have authenticated with: each counts once (RFC 7523 §3)."""

from datetime import datetime

from authsvc.storage.database import Transaction
from authsvc.storage.schema import client_assertions
from authsvc.storage.upsert import insert_into


async def consume_client_assertion(
    tx: Transaction, assertion_hash: bytes, *, expires_at: datetime
) -> bool:
    """Spend the assertion; False when it was spent before, by any replica."""
    statement = (await insert_into(tx, client_assertions)).values(
        assertion_hash=assertion_hash, expires_at=expires_at
    )
    rows = await tx.execute(
        statement.on_conflict_do_nothing().returning(client_assertions.c.assertion_hash)
    )
    return rows.first() is not None
