"""What is over goes: a few rows in each transaction, those over for longest first, by an index.

Rows that somebody else holds are let be until the next time. Nobody waits for a purge: it
locks nothing but rows that no request can use any more.

Three kinds of rows are kept beyond their end, while a token family needs them. A spent code,
so that a replay still ends what came of it (RFC 6749 §4.1.2). A session, because its families
outlive it (OpenID Connect Core §11) and would be deleted with it. Such a row is noted as
``kept_until`` and found by another index when that is over: so each is looked at once a week
instead of each time, however many there are.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Table, delete, select, tuple_, update

from authsvc.storage.database import Transaction
from authsvc.storage.schema import (
    authorization_codes,
    client_assertions,
    device_codes,
    idempotency_keys,
    initial_access_tokens,
    login_attempts,
    outbox,
    password_resets,
    refresh_tokens,
    revocations,
    sessions,
    token_families,
    webhook_secrets,
)

LOOK_AGAIN: Final = timedelta(days=7)
"""How long a row that something needs is kept before it is looked at again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction of a purge did. ``seen`` counts the rows kept, too."""

    seen: int
    deleted: int


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Rows go that were over at these instants, which are before ``now``."""

    now: datetime
    expired: datetime
    codes: datetime
    dead_entries: datetime
    """Also those that nobody has tried since: of mail that was turned off, of another version."""


Purge = Callable[[Transaction, Cutoffs, int], Awaitable[Batch]]
"""Looks at up to so many rows that were over at the cut-offs, and deletes what may go."""


async def _purge_dead_entries(tx: Transaction, cutoffs: Cutoffs, limit: int) -> Batch:
    return await _delete_over(tx, outbox.c.failed_at, cutoffs.dead_entries, limit)


async def _purge_overdue_entries(tx: Transaction, cutoffs: Cutoffs, limit: int) -> Batch:
    waiting = outbox.c.failed_at.is_(None)
    return await _delete_over(tx, outbox.c.due_at, cutoffs.dead_entries, limit, waiting)


async def _purge_login_attempts(tx: Transaction, cutoffs: Cutoffs, limit: int) -> Batch:
    # Where delays are longer than the window, a bucket is closed beyond its expiry.
    opened = login_attempts.c.blocked_until <= cutoffs.expired
    return await _delete_over(tx, login_attempts.c.expires_at, cutoffs.expired, limit, opened)


def _purge_expired(table: Table) -> Purge:
    """Return the purge of a table whose rows nothing needs once they have expired."""

    async def purge(tx: Transaction, cutoffs: Cutoffs, limit: int) -> Batch:
        return await _delete_over(tx, table.c.expires_at, cutoffs.expired, limit)

    return purge


async def _purge_refresh_tokens(tx: Transaction, cutoffs: Cutoffs, limit: int) -> Batch:
    """Delete tokens that expired, spent or not, and families whose last one that was.

    A family without a token is dead for good: only a token that has not expired begets one.
    """
    token = refresh_tokens.c
    taken = await _take(
        tx, token.expires_at, cutoffs.expired, limit, (token.token_hash, token.family_id)
    )
    if not taken:
        return Batch(0, 0)
    hashes, families = zip(*taken, strict=True)
    await tx.execute(delete(refresh_tokens).where(token.token_hash.in_(hashes)))
    await _delete_empty(tx, sorted(set(families)))
    return Batch(len(taken), len(taken))


def _purge_families(over: Column[Any]) -> Purge:
    """Return the purge of families that are over since ``over``.

    Their tokens go first, ``limit`` at a time: one family may have thousands, and all of them
    would go with its row at once.
    """

    async def purge(tx: Transaction, cutoffs: Cutoffs, limit: int) -> Batch:
        taken = await _take(tx, over, cutoffs.expired, limit, (token_families.c.id,))
        if not taken:
            return Batch(0, 0)
        ids = [family_id for (family_id,) in taken]
        token = refresh_tokens.c
        some = select(token.token_hash).where(token.family_id.in_(ids)).limit(limit)
        hashes = list((await tx.execute(some)).scalars())
        if hashes:
            await tx.execute(delete(refresh_tokens).where(token.token_hash.in_(hashes)))
        deleted = await _delete_empty(tx, ids)
        # As long as tokens are left, there is more to do, whatever became of the families.
        return Batch(max(len(ids), len(hashes)), deleted)

    return purge


def _purge_kept(over: Column[Any], cutoff: str, needed_by: Column[Any]) -> Purge:
    """Return the purge of rows that are over since ``over``, unless a family needs them.

    ``cutoff`` names the one of ``Cutoffs``, ``needed_by`` holds the identifier of what a family
    needs. Rows that are over come by no new family, so that none is missed here.
    """
    table, row_id = over.table, over.table.c.id
    kept_until = table.c.kept_until

    async def purge(tx: Transaction, cutoffs: Cutoffs, limit: int) -> Batch:
        before: datetime = getattr(cutoffs, cutoff)
        taken = await _take(tx, over, before, limit, (row_id,), kept_until.is_(None))
        taken += await _take(tx, kept_until, cutoffs.now, limit - len(taken), (row_id,))
        if not taken:
            return Batch(0, 0)
        ids = {found for (found,) in taken}
        rows = await tx.execute(select(needed_by).where(needed_by.in_(sorted(ids))))
        needed = set(rows.scalars())
        if needed:
            again = update(table).values(kept_until=cutoffs.now + LOOK_AGAIN)
            await tx.execute(again.where(row_id.in_(sorted(needed))))
        if gone := sorted(ids - needed):
            await tx.execute(delete(table).where(row_id.in_(gone)))
        return Batch(len(ids), len(gone))

    return purge


PURGES: Final[Mapping[str, Purge]] = {
    "refresh_tokens": _purge_refresh_tokens,
    "token_families revoked": _purge_families(token_families.c.revoked_at),
    "token_families expired": _purge_families(token_families.c.expires_at),
    "authorization_codes": _purge_kept(
        authorization_codes.c.expires_at, "codes", token_families.c.id
    ),
    "device_codes": _purge_kept(device_codes.c.expires_at, "codes", token_families.c.id),
    "sessions": _purge_kept(sessions.c.ended_at, "expired", token_families.c.session_id),
    "revocations": _purge_expired(revocations),
    "client_assertions": _purge_expired(client_assertions),
    "idempotency_keys": _purge_expired(idempotency_keys),
    "initial_access_tokens": _purge_expired(initial_access_tokens),
    "webhook_secrets": _purge_expired(webhook_secrets),
    "password_resets": _purge_expired(password_resets),
    "login_attempts": _purge_login_attempts,
    "outbox dead": _purge_dead_entries,
    "outbox overdue": _purge_overdue_entries,
}
"""What is purged, in the order in which one row lets the next go."""


async def _take(
    tx: Transaction,
    over: Column[Any],
    before: datetime,
    limit: int,
    columns: Sequence[ColumnElement[Any]],
    *conditions: ColumnElement[bool],
) -> list[Any]:
    """Return ``columns`` of rows that nobody holds, and hold them, those over longest first."""
    if limit <= 0:
        return []
    rows = await tx.execute(
        select(*columns)
        .where(over <= before, *conditions)
        .order_by(over)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [tuple(row) for row in rows]


async def _delete_over(
    tx: Transaction,
    over: Column[Any],
    before: datetime,
    limit: int,
    *conditions: ColumnElement[bool],
) -> Batch:
    key = [*over.table.primary_key.columns]
    taken = await _take(tx, over, before, limit, key, *conditions)
    if taken:
        await tx.execute(delete(over.table).where(tuple_(*key).in_(taken)))
    return Batch(len(taken), len(taken))


async def _delete_empty(tx: Transaction, family_ids: Sequence[str]) -> int:
    """Delete those of the families that have no token; return how many they were."""
    token = select(refresh_tokens.c.token_hash).where(
        refresh_tokens.c.family_id == token_families.c.id
    )
    rows = await tx.execute(
        delete(token_families)
        .where(token_families.c.id.in_(family_ids), ~token.exists())
        .returning(token_families.c.id)
    )
    return len(rows.all())
