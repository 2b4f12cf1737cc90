"""How far the chaining of the audit log has come, for the metrics."""

from datetime import datetime

from sqlalchemy import func, select

from authsvc.storage.database import Transaction
from authsvc.storage.schema import audit_events


async def find_chained_position(tx: Transaction) -> int:
    """Return the position of the last event that is chained, 0 where none is."""
    found = await tx.execute(select(func.max(audit_events.c.position)))
    return found.scalar() or 0


async def find_unchained_since(tx: Transaction) -> datetime | None:
    """Return when the oldest event happened that is not chained; None where all are."""
    found = await tx.execute(
        select(audit_events.c.at)
        .where(audit_events.c.position.is_(None))
        .order_by(audit_events.c.id)
        .limit(1)
    )
    at: datetime | None = found.scalar()
    return at
