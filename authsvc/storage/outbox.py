"""Work that a change brings about after it is durable: mail, notices, calls to others.

An entry is written in the transaction of the change, so that neither is there without the
other. Whoever claims an entry holds it for the time of a lease and then deletes it or puts
it back; one who dies meanwhile loses nothing, because the lease ends. So an entry may be
delivered twice, and whoever receives it must be able to bear that.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, delete, func, or_, select, tuple_, union_all, update

from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.schema import Instant, outbox

_MAX_ERROR = 255
_RECEIVERS: Final = ("webhook_id", "client_id", "user_id")
"""Members of a payload that say whom an entry is for, the first one there is."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An entry that was claimed; ``attempts`` counts this one."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    attempts: int
    created_at: datetime

    @property
    def receiver(self) -> str:
        """Whom it is for: a webhook, a client, a person, or nobody else's."""
        found = (self.payload.get(member) for member in _RECEIVERS)
        return str(next((name for name in found if name is not None), self.id))

    @property
    def is_retry(self) -> bool:
        """Whether it was tried before."""
        return self.attempts > 1


@dataclass(frozen=True, slots=True)
class StoredEntry(OutboxEntry):
    """An entry as it lies there. One that has ``failed_at`` is dead: it is not tried again."""

    due_at: datetime
    failed_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits, how much is dead, and since when the oldest one waits.

    A number never exceeds ``COUNTED``, which means that many or more.
    """

    waiting: int
    dead: int
    oldest_at: datetime | None


COUNTED: Final = 10_000
_DEAD = outbox.c.failed_at.is_not(None)
_WAITING = outbox.c.failed_at.is_(None)

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
    tx: Transaction,
    kinds: Collection[str],
    *,
    now: datetime,
    lease: timedelta,
    limit: int,
    full: Collection[str] = (),
    full_of_retries: Collection[str] = (),
) -> list[OutboxEntry]:
    """Take up to ``limit`` entries of each of ``kinds`` that are due, those due longest first.

    None are for the receivers ``full``, and none that were tried before for those in
    ``full_of_retries``. Nobody else gets them until ``lease`` is over. Of any number of callers
    at once each gets entries of its own, and none waits for another.
    """
    wanted = [_WAITING, outbox.c.due_at <= now]
    if full:
        wanted.append(_receiver().not_in(full))
    if full_of_retries:
        wanted.append(or_(outbox.c.attempts == 0, _receiver().not_in(full_of_retries)))
    # Each kind by itself, in the order of the index. Evaluated once: PostgreSQL never inlines
    # what locks rows.
    due = [
        select(outbox.c.id)
        .where(outbox.c.kind == kind, *wanted)
        .order_by(outbox.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte(f"due_{number}")
        for number, kind in enumerate(sorted(kinds))
    ]
    rows = await tx.execute(
        update(outbox)
        .where(outbox.c.id.in_(union_all(*(select(each.c.id) for each in due))))
        .values(attempts=outbox.c.attempts + 1, due_at=now + lease)
        .returning(*_COLUMNS)
    )
    return [OutboxEntry(*row) for row in rows]


async def give_back(tx: Transaction, entries: Sequence[OutboxEntry], *, now: datetime) -> None:
    """Let entries that were not tried at all be due again, unless somebody else has them."""
    claimed = [(entry.id, entry.attempts) for entry in entries]
    await tx.execute(
        update(outbox)
        .where(tuple_(outbox.c.id, outbox.c.attempts).in_(claimed))
        .values(attempts=outbox.c.attempts - 1, due_at=now)
    )


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


async def load_backlog(tx: Transaction) -> Backlog:
    """Return how much lies in the outbox; it costs no more for what is beyond ``COUNTED``."""
    oldest = select(outbox.c.created_at).where(_WAITING).order_by(outbox.c.due_at).limit(COUNTED)
    first = func.min(oldest.subquery().c.created_at, type_=Instant)
    oldest_at = (await tx.execute(select(first))).scalar()
    waiting = await _count(tx, _WAITING, outbox.c.due_at)
    dead = await _count(tx, _DEAD, outbox.c.failed_at)
    return Backlog(waiting, dead, oldest_at)


async def list_entries(tx: Transaction, *, dead: bool, limit: int) -> list[StoredEntry]:
    """Return up to ``limit`` entries: those dead for longest, or those that are due first."""
    columns = (*_COLUMNS, outbox.c.due_at, outbox.c.failed_at, outbox.c.last_error)
    order = outbox.c.failed_at if dead else outbox.c.due_at
    listed = select(*columns).where(_DEAD if dead else _WAITING).order_by(order).limit(limit)
    return [StoredEntry(*row) for row in await tx.execute(listed)]


async def exists(tx: Transaction, entry_id: str) -> bool:
    """Tell whether there is such an entry, dead or not."""
    rows = await tx.execute(select(outbox.c.id).where(outbox.c.id == entry_id))
    return rows.first() is not None


async def revive(
    tx: Transaction, *, now: datetime, limit: int, entry_id: str | None = None
) -> list[str]:
    """Let up to ``limit`` entries that were dead at ``now``, or that one, be due again.

    They have all their attempts again, and their age begins anew. Return their identifiers.
    What dies anew meanwhile is not among them, so that calling this until nothing is left comes
    to an end.
    """
    dead = select(outbox.c.id).where(outbox.c.failed_at <= now)
    dead = dead.order_by(outbox.c.failed_at).limit(limit)
    if entry_id is not None:
        dead = dead.where(outbox.c.id == entry_id)
    ids = list((await tx.execute(dead.with_for_update())).scalars())
    if ids:
        again = update(outbox).where(outbox.c.id.in_(ids))
        await tx.execute(again.values(failed_at=None, created_at=now, due_at=now, attempts=0))
    return ids


async def discard(tx: Transaction, kind: str, member: str, value: str, *, limit: int) -> int:
    """Delete up to ``limit`` entries, dead or not, whose payload has ``value`` as ``member``.

    Return how many. It reads all entries of ``kind``: for what an operator does now and then.
    """
    entries = select(outbox.c.id).where(outbox.c.kind == kind, _member(member) == value)
    rows = await tx.execute(
        delete(outbox).where(outbox.c.id.in_(entries.limit(limit))).returning(outbox.c.id)
    )
    return len(rows.all())


async def drop_oldest(tx: Transaction, kind: str, member: str, value: str, *, limit: int) -> int:
    """Delete up to ``limit`` entries that wait, as ``discard``: those noted first.

    What somebody is claiming at the moment is let be.
    """
    entries = (
        select(outbox.c.id)
        .where(outbox.c.kind == kind, _WAITING, _member(member) == value)
        .order_by(outbox.c.created_at, outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("oldest")
    )
    rows = await tx.execute(
        delete(outbox).where(outbox.c.id.in_(select(entries.c.id))).returning(outbox.c.id)
    )
    return len(rows.all())


async def count_by(
    tx: Transaction, kind: str, member: str, *, dead: bool, value: str | None = None
) -> dict[str, int]:
    """Return how many entries have which text as ``member`` of their payload, or have ``value``.

    It reads all entries of ``kind``, as ``discard``.
    """
    found = _member(member)
    counted = select(found, func.count()).where(outbox.c.kind == kind, _DEAD if dead else _WAITING)
    if value is not None:
        counted = counted.where(found == value)
    rows = await tx.execute(counted.group_by(found))
    return {row[0]: row[1] for row in rows}


def _receiver() -> ColumnElement[str]:
    """Return what ``OutboxEntry.receiver`` is."""
    return func.coalesce(*(_member(name) for name in _RECEIVERS), outbox.c.id)


def _member(name: str) -> ColumnElement[str]:
    member: ColumnElement[str] = outbox.c.payload[name].as_string()
    return member


async def _count(tx: Transaction, which: ColumnElement[bool], order: Column[Any]) -> int:
    some = select(outbox.c.id).where(which).order_by(order).limit(COUNTED).subquery()
    number: int = (await tx.execute(select(func.count()).select_from(some))).scalar_one()
    return number
