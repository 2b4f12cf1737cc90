"""Initial access tokens, which let a client register itself (RFC 7591 §3)."""

from datetime import datetime

from sqlalchemy import delete, or_, select, update

from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.schema import initial_access_tokens


async def create_initial_access_token(
    tx: Transaction,
    token_hash: bytes,
    *,
    uses: int | None,
    now: datetime,
    expires_at: datetime,
) -> str:
    """Store a token for so many registrations, None for any number; return its identifier."""
    token_id = new_id(now)
    await tx.execute(
        initial_access_tokens.insert().values(
            id=token_id,
            token_hash=token_hash,
            uses_left=uses,
            created_at=now,
            expires_at=expires_at,
        )
    )
    return token_id


async def find_initial_access_token(
    tx: Transaction, token_hash: bytes, *, now: datetime
) -> str | None:
    """Return the identifier of the token if it is good for another use, which this is not."""
    token = initial_access_tokens.c
    rows = await tx.execute(
        select(token.id).where(
            token.token_hash == token_hash,
            token.expires_at > now,
            or_(token.uses_left.is_(None), token.uses_left > 0),
        )
    )
    return rows.scalar_one_or_none()


async def consume_initial_access_token(
    tx: Transaction, token_hash: bytes, *, now: datetime
) -> bool:
    """Use the token once; False when it is unknown, expired or used up."""
    token = initial_access_tokens.c
    rows = await tx.execute(
        update(initial_access_tokens)
        .where(
            token.token_hash == token_hash,
            token.expires_at > now,
            or_(token.uses_left.is_(None), token.uses_left > 0),
        )
        # Of a token without a limit this stays without one: NULL less 1 is NULL.
        .values(uses_left=token.uses_left - 1)
        .returning(token.id)
    )
    return rows.first() is not None


async def delete_initial_access_token(tx: Transaction, token_id: str) -> bool:
    """Delete the token; False when there is none."""
    rows = await tx.execute(
        delete(initial_access_tokens)
        .where(initial_access_tokens.c.id == token_id)
        .returning(initial_access_tokens.c.id)
    )
    return rows.first() is not None


async def delete_initial_access_tokens(tx: Transaction) -> int:
    """Delete every token; return how many there were."""
    deleted = await tx.execute(delete(initial_access_tokens))
    return deleted.rowcount
