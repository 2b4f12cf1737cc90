"""Browser sessions. The cookie's value is stored as a keyed hash alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select, update

from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.schema import authorization_codes, sessions, users


@dataclass(frozen=True, slots=True)
class Session:
    """A person signed in with one browser."""

    id: str
    user_id: str
    auth_time: datetime
    acr: str
    amr: Sequence[str]
    address: str
    user_agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


_COLUMNS = (
    sessions.c.id,
    sessions.c.user_id,
    sessions.c.auth_time,
    sessions.c.acr,
    sessions.c.amr,
    sessions.c.address,
    sessions.c.user_agent,
    sessions.c.created_at,
    sessions.c.seen_at,
    sessions.c.expires_at,
)


async def create_session(
    tx: Transaction,
    *,
    cookie_hash: bytes,
    user_id: str,
    acr: str,
    amr: Sequence[str],
    address: str,
    user_agent: str,
    now: datetime,
    expires_at: datetime,
) -> Session:
    """Store a new session of the person, who has just signed in."""
    session = Session(
        new_id(now), user_id, now, acr, list(amr), address, user_agent[:255], now, now, expires_at
    )
    await tx.execute(
        sessions.insert().values(
            id=session.id,
            cookie_hash=cookie_hash,
            user_id=user_id,
            auth_time=now,
            acr=acr,
            amr=list(amr),
            address=address,
            user_agent=session.user_agent,
            created_at=now,
            seen_at=now,
            expires_at=expires_at,
        )
    )
    return session


async def renew_session(
    tx: Transaction,
    session_id: str,
    *,
    presented_hash: bytes,
    cookie_hash: bytes,
    user_id: str,
    acr: str,
    amr: Sequence[str],
    address: str,
    user_agent: str,
    now: datetime,
    expires_at: datetime,
) -> Session | None:
    """Let the person's session go on, who has just signed in again, under another cookie.

    None, and nothing is changed, when the session has ended, is another person's, or is not
    that of the cookie presented any more: the person has signed in twice at once.
    """
    row = (
        await tx.execute(
            update(sessions)
            .where(
                sessions.c.id == session_id,
                sessions.c.user_id == user_id,
                sessions.c.cookie_hash == presented_hash,
                sessions.c.ended_at.is_(None),
            )
            .values(
                cookie_hash=cookie_hash,
                auth_time=now,
                acr=acr,
                amr=list(amr),
                address=address,
                user_agent=user_agent[:255],
                seen_at=now,
                expires_at=expires_at,
            )
            .returning(*_COLUMNS)
        )
    ).first()
    return None if row is None else Session(*row)


async def find_session(
    tx: Transaction, cookie_hash: bytes, *, now: datetime, seen_since: datetime
) -> tuple[Session, str] | None:
    """Return the living session of a cookie and its person's user name, or None.

    Not living: ended, past its absolute life, not seen since ``seen_since``, or of a
    person who is disabled.
    """
    row = (
        await tx.execute(
            select(*_COLUMNS, users.c.username)
            .join(users, users.c.id == sessions.c.user_id)
            .where(
                sessions.c.cookie_hash == cookie_hash,
                sessions.c.ended_at.is_(None),
                sessions.c.expires_at > now,
                sessions.c.seen_at > seen_since,
                users.c.disabled_at.is_(None),
            )
        )
    ).first()
    return None if row is None else (Session(*row[:-1]), row[-1])


async def find_session_by_id(tx: Transaction, session_id: str) -> Session | None:
    """Return the session unless it was ended, or None."""
    row = (await tx.execute(_unended(sessions.c.id == session_id))).first()
    return None if row is None else Session(*row)


async def hold_session(tx: Transaction, session_id: str) -> Session | None:
    """Return the session unless it was ended, or None; it does not end before ``tx`` does.

    Whoever issues something on a session holds it: who ends the session waits, and then
    sees what was issued.
    """
    return await _hold(tx, sessions.c.id == session_id)


async def hold_session_of_code(tx: Transaction, code_hash: bytes) -> Session | None:
    """Hold, as ``hold_session`` does, the session on which an authorization code was issued.

    To be done before the code is spent: who ends a session takes its row before its codes,
    and in the other order the two would wait for each other.
    """
    codes = authorization_codes.c
    session_id = select(codes.session_id).where(codes.code_hash == code_hash).scalar_subquery()
    return await _hold(tx, sessions.c.id == session_id)


async def touch_session(tx: Transaction, session_id: str, *, now: datetime) -> None:
    """Note that the session was used."""
    await tx.execute(update(sessions).where(sessions.c.id == session_id).values(seen_at=now))


async def end_session(tx: Transaction, session_id: str, *, now: datetime) -> str | None:
    """End the session; return its person, or None when it does not live."""
    rows = await tx.execute(
        update(sessions)
        .where(sessions.c.id == session_id, sessions.c.ended_at.is_(None))
        .values(ended_at=now)
        .returning(sessions.c.user_id)
    )
    user_id: str | None = rows.scalar()
    return user_id


async def end_sessions_of_users(
    tx: Transaction, user_ids: Sequence[str], *, now: datetime
) -> dict[str, str]:
    """End every session of the people and return whose each was, by identifier."""
    rows = await tx.execute(
        update(sessions)
        .where(sessions.c.user_id.in_(user_ids), sessions.c.ended_at.is_(None))
        .values(ended_at=now)
        .returning(sessions.c.id, sessions.c.user_id)
    )
    return {row.id: row.user_id for row in rows}


async def end_expired_sessions(
    tx: Transaction, *, now: datetime, seen_since: datetime, limit: int
) -> list[Session]:
    """End up to ``limit`` sessions past their life, or not seen since ``seen_since``.

    Return them. Whoever does it at the same time gets others; what
    is issued on a session this very moment lets it be until the next time.
    """
    expired = (
        select(sessions.c.id)
        .where(
            sessions.c.ended_at.is_(None),
            or_(sessions.c.expires_at <= now, sessions.c.seen_at <= seen_since),
        )
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
        .cte("expired")
    )
    rows = await tx.execute(
        update(sessions)
        .where(sessions.c.id.in_(select(expired.c.id)), sessions.c.ended_at.is_(None))
        .values(ended_at=now)
        .returning(*_COLUMNS)
    )
    return [Session(*row) for row in rows]


async def list_sessions(
    tx: Transaction, *, user_id: str | None, after: str | None, limit: int, now: datetime
) -> list[Session]:
    """Return up to ``limit`` living sessions, oldest first, of one person or of all."""
    statement = (
        select(*_COLUMNS)
        .where(sessions.c.ended_at.is_(None), sessions.c.expires_at > now)
        .order_by(sessions.c.id)
        .limit(limit)
    )
    if user_id is not None:
        statement = statement.where(sessions.c.user_id == user_id)
    if after is not None:
        statement = statement.where(sessions.c.id > after)
    return [Session(*row) for row in await tx.execute(statement)]


async def _hold(tx: Transaction, is_it: ColumnElement[bool]) -> Session | None:
    row = (await tx.execute(_unended(is_it).with_for_update(read=True))).first()
    return None if row is None else Session(*row)


def _unended(is_it: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return select(*_COLUMNS).where(is_it, sessions.c.ended_at.is_(None))
