"""Who holds something that lives: a session, or a family of tokens."""

from datetime import datetime

from sqlalchemy import or_, select

from authsvc.storage.database import Transaction
from authsvc.storage.schema import sessions, token_families, users


async def list_people_signed_in(
    tx: Transaction, *, after: str | None, limit: int, now: datetime
) -> list[str]:
    """Return up to ``limit`` people in order, from the one after ``after`` on.

    Also those whose session is over by time alone: nobody has ended it yet.
    """
    has_session = select(sessions.c.id).where(
        sessions.c.user_id == users.c.id, sessions.c.ended_at.is_(None)
    )
    has_family = select(token_families.c.id).where(
        token_families.c.user_id == users.c.id,
        token_families.c.revoked_at.is_(None),
        token_families.c.expires_at > now,
    )
    statement = (
        select(users.c.id)
        .where(or_(has_session.exists(), has_family.exists()))
        .order_by(users.c.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(users.c.id > after)
    return list((await tx.execute(statement)).scalars())
