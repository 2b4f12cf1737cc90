"""Work that a change brings about after it is durable: mail, notices, calls to others.

An entry is written in the transaction of the change, so that neither is there without the
other. Whoever claims an entry holds it for the time of a lease and then deletes it or puts
it back; one who dies meanwhile loses nothing, because the lease ends. So an entry may be
delivered twice, and whoever receives it must be able to bear that.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update

from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.schema import outbox

_MAX_ERROR = 255


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An entry that was claimed; ``attempts`` counts this one."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    attempts: int
    created_at: datetime


_COLUMNS = (
    outbox.c.id,
    outbox.c.kind,
    outbox.c.payload,
    outbox.c.attempts,
    outbox.c.created_at,
)


async def add(
    tx: Transaction, kind: str, payloads: Sequence[Mapping[str, Any]], *, now: datetime
) -> None:
    """Write an entry of ``kind`` for each of ``payloads``, due at once. No secrets in them."""
    if not payloads:
        return
    await tx.execute(
        outbox.insert(),
        [
            {
                "id": new_id(now),
                "kind": kind,
                "payload": dict(payload),
                "attempts": 0,
                "created_at": now,
                "due_at": now,
            }
            for payload in payloads
        ],
    )


async def claim(
    tx: Transaction, kinds: Collection[str], *, now: datetime, lease: timedelta, limit: int
) -> list[OutboxEntry]:
    """Take up to ``limit`` entries of ``kinds`` that are due, those due longest first.

    Nobody else gets them until ``lease`` is over. Of any number of callers at once each
    gets entries of its own, and none waits for another.
    """
    # Evaluated once: PostgreSQL never inlines what locks rows.
    due = (
        select(outbox.c.id)
        .where(outbox.c.failed_at.is_(None), outbox.c.due_at <= now, outbox.c.kind.in_(kinds))
        .order_by(outbox.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = await tx.execute(
        update(outbox)
        .where(outbox.c.id.in_(select(due.c.id)))
        .values(attempts=outbox.c.attempts + 1, due_at=now + lease)
        .returning(*_COLUMNS)
    )
    return [OutboxEntry(*row) for row in rows]


async def done(tx: Transaction, entry_id: str) -> None:
    """Delete an entry that was delivered."""
    await tx.execute(delete(outbox).where(outbox.c.id == entry_id))


async def put_back(tx: Transaction, entry: OutboxEntry, *, due_at: datetime) -> None:
    """Put an entry back that was not tried at all, so that this attempt does not count."""
    await _put_back(tx, entry, due_at=due_at, attempts=entry.attempts - 1)


async def retry(tx: Transaction, entry: OutboxEntry, *, due_at: datetime, error: str) -> None:
    """Put an entry back until ``due_at``, unless somebody else has claimed it since."""
    await _put_back(tx, entry, due_at=due_at, last_error=error[:_MAX_ERROR])


async def give_up(tx: Transaction, entry: OutboxEntry, *, now: datetime, error: str) -> None:
    """Keep an entry as failed for an operator, unless somebody else has claimed it since."""
    await _put_back(tx, entry, failed_at=now, last_error=error[:_MAX_ERROR])


async def _put_back(tx: Transaction, entry: OutboxEntry, **values: Any) -> None:
    await tx.execute(
        update(outbox)
        .where(outbox.c.id == entry.id, outbox.c.attempts == entry.attempts)
        .values(**values)
    )
