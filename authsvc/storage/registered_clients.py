"""Clients that registered themselves: which of them nobody ever used."""

from datetime import datetime

from sqlalchemy import delete, func, or_, select, update

from authsvc.storage.database import Transaction
from authsvc.storage.schema import UNUSED, clients


async def count_unused_clients(tx: Transaction, *, limit: int) -> int:
    """Return how many there are, and look at ``limit`` of them at most."""
    unused = select(clients.c.client_id).where(UNUSED).limit(limit).subquery()
    number: int = (await tx.execute(select(func.count()).select_from(unused))).scalar_one()
    return number


async def save_client_use(
    tx: Transaction, client_id: str, *, now: datetime, unless_since: datetime
) -> None:
    """Note that the client is in use, unless that was noted at ``unless_since`` or later."""
    client = clients.c
    await tx.execute(
        update(clients)
        .where(
            client.client_id == client_id,
            client.self_registered,
            or_(client.used_at.is_(None), client.used_at < unless_since),
        )
        .values(used_at=now)
    )


async def delete_unused_clients(tx: Transaction, *, before: datetime, limit: int) -> list[str]:
    """Delete up to ``limit`` that registered before ``before``; return their identifiers.

    Rows that another process holds are left to it.
    """
    expired = (
        select(clients.c.client_id)
        .where(UNUSED, clients.c.created_at < before)
        .order_by(clients.c.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        # Evaluated once: PostgreSQL never inlines what locks rows.
        .cte("expired")
    )
    rows = await tx.execute(
        delete(clients)
        # Again: it may have been used while this waited.
        .where(
            clients.c.client_id.in_(select(expired.c.client_id)),
            UNUSED,
            clients.c.created_at < before,
        )
        .returning(clients.c.client_id)
    )
    return sorted(rows.scalars())
