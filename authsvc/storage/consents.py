"""What a person has allowed a client."""

from datetime import datetime

from sqlalchemy import select, update

from authsvc.storage.database import Transaction
from authsvc.storage.schema import consents
from authsvc.storage.upsert import insert_into


async def find_consent(
    tx: Transaction, user_id: str, client_id: str
) -> tuple[frozenset[str], datetime] | None:
    """Return the scopes the person allowed the client and when they last did, or None."""
    row = (
        await tx.execute(
            select(consents.c.scope, consents.c.granted_at).where(
                consents.c.user_id == user_id, consents.c.client_id == client_id
            )
        )
    ).first()
    return None if row is None else (frozenset(row[0].split()), row[1])


async def save_consent(
    tx: Transaction, user_id: str, client_id: str, scopes: frozenset[str], *, now: datetime
) -> None:
    """Add ``scopes`` to what the person allows the client.

    The row is there and locked before it is read: of two consents at once none is lost.
    """
    statement = (await insert_into(tx, consents)).values(
        user_id=user_id, client_id=client_id, scope="", granted_at=now
    )
    await tx.execute(statement.on_conflict_do_nothing())
    is_this = (consents.c.user_id == user_id, consents.c.client_id == client_id)
    rows = await tx.execute(select(consents.c.scope).where(*is_this).with_for_update())
    allowed = scopes.union(rows.scalar_one().split())
    await tx.execute(
        update(consents).where(*is_this).values(scope=" ".join(sorted(allowed)), granted_at=now)
    )


async def list_clients_of_user(tx: Transaction, user_id: str, *, limit: int) -> list[str]:
    """Return up to ``limit`` clients that the person allowed something, the last ones first."""
    rows = await tx.execute(
        select(consents.c.client_id)
        .where(consents.c.user_id == user_id)
        .order_by(consents.c.granted_at.desc(), consents.c.client_id)
        .limit(limit)
    )
    return list(rows.scalars())
