"""Refresh tokens and the families they rotate in.

A family lives and dies as one: ``revoked_at`` on its row ends every token of it,
however many there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update

from authsvc.storage.database import Transaction
from authsvc.storage.schema import refresh_tokens, token_families


@dataclass(frozen=True, slots=True)
class TokenFamily:
    """What one authorization yields: the ground every token of it stands on."""

    id: str
    client_id: str
    user_id: str
    session_id: str
    scope: str
    resources: Sequence[str]
    claims: Mapping[str, Sequence[str]] | None
    auth_time: datetime
    acr: str
    amr: Sequence[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One token of a family, and the successor it was exchanged for."""

    family: TokenFamily
    created_at: datetime
    expires_at: datetime
    consumed_at: datetime | None
    successor_hash: bytes | None
    successor_sealed: bytes | None


_FAMILY = (
    token_families.c.id,
    token_families.c.client_id,
    token_families.c.user_id,
    token_families.c.session_id,
    token_families.c.scope,
    token_families.c.resources,
    token_families.c.claims,
    token_families.c.auth_time,
    token_families.c.acr,
    token_families.c.amr,
    token_families.c.created_at,
    token_families.c.expires_at,
    token_families.c.revoked_at,
)
_TOKEN = (
    refresh_tokens.c.created_at,
    refresh_tokens.c.expires_at,
    refresh_tokens.c.consumed_at,
    refresh_tokens.c.successor_hash,
    refresh_tokens.c.successor_sealed,
)


async def create_family(tx: Transaction, family: TokenFamily) -> None:
    """Store a new family."""
    await tx.execute(
        token_families.insert().values(
            id=family.id,
            client_id=family.client_id,
            user_id=family.user_id,
            session_id=family.session_id,
            scope=family.scope,
            resources=list(family.resources),
            claims=family.claims,
            auth_time=family.auth_time,
            acr=family.acr,
            amr=list(family.amr),
            created_at=family.created_at,
            expires_at=family.expires_at,
        )
    )


async def save_refresh_token(
    tx: Transaction, token_hash: bytes, family_id: str, *, now: datetime, expires_at: datetime
) -> None:
    """Store a token of the family."""
    await tx.execute(
        refresh_tokens.insert().values(
            token_hash=token_hash, family_id=family_id, created_at=now, expires_at=expires_at
        )
    )


async def find_refresh_token(tx: Transaction, token_hash: bytes) -> RefreshToken | None:
    """Return the token with its family, spent or not, or None."""
    row = (
        await tx.execute(
            select(*_FAMILY, *_TOKEN)
            .join(token_families, token_families.c.id == refresh_tokens.c.family_id)
            .where(refresh_tokens.c.token_hash == token_hash)
        )
    ).first()
    if row is None:
        return None
    return RefreshToken(TokenFamily(*row[: len(_FAMILY)]), *row[len(_FAMILY) :])


async def consume_refresh_token(
    tx: Transaction,
    token_hash: bytes,
    *,
    successor_hash: bytes,
    successor_sealed: bytes,
    now: datetime,
) -> str | None:
    """Exchange the token for its successor and return its family's identifier.

    None when it was spent or its family ended. One statement: of any number of callers
    one gets the family.
    """
    living = select(token_families.c.id).where(
        token_families.c.id == refresh_tokens.c.family_id, token_families.c.revoked_at.is_(None)
    )
    rows = await tx.execute(
        update(refresh_tokens)
        .where(
            refresh_tokens.c.token_hash == token_hash,
            refresh_tokens.c.consumed_at.is_(None),
            living.exists(),
        )
        .values(consumed_at=now, successor_hash=successor_hash, successor_sealed=successor_sealed)
        .returning(refresh_tokens.c.family_id)
    )
    family_id: str | None = rows.scalar()
    return family_id


async def is_unused(tx: Transaction, token_hash: bytes) -> bool:
    """Tell whether the token exists and was not spent."""
    rows = await tx.execute(
        select(refresh_tokens.c.token_hash).where(
            refresh_tokens.c.token_hash == token_hash, refresh_tokens.c.consumed_at.is_(None)
        )
    )
    return rows.first() is not None


async def revoke_family(tx: Transaction, family_id: str, *, now: datetime) -> bool:
    """End the family; False when it was ended before or never was."""
    return bool(await _revoke(tx, token_families.c.id == family_id, now=now))


async def revoke_families_of_users(
    tx: Transaction, user_ids: Sequence[str], *, now: datetime
) -> list[str]:
    """End every family of the people and return their identifiers."""
    return await _revoke(tx, token_families.c.user_id.in_(user_ids), now=now)


async def revoke_families_of_clients(
    tx: Transaction, client_ids: Sequence[str], *, now: datetime
) -> list[str]:
    """End every family of the clients and return their identifiers."""
    return await _revoke(tx, token_families.c.client_id.in_(client_ids), now=now)


async def revoke_families_of_session(
    tx: Transaction, session_id: str, *, now: datetime
) -> list[str]:
    """End every family that the session began and return their identifiers."""
    return await _revoke(tx, token_families.c.session_id == session_id, now=now)


async def count_living_families(tx: Transaction, *, now: datetime) -> int:
    """Return how many families live."""
    rows = await tx.execute(
        select(func.count())
        .select_from(token_families)
        .where(token_families.c.revoked_at.is_(None), token_families.c.expires_at > now)
    )
    counted: int = rows.scalar_one()
    return counted


async def _revoke(tx: Transaction, condition: ColumnElement[bool], *, now: datetime) -> list[str]:
    rows = await tx.execute(
        update(token_families)
        .where(condition, token_families.c.revoked_at.is_(None), token_families.c.expires_at > now)
        .values(revoked_at=now)
        .returning(token_families.c.id)
    )
    return list(rows.scalars())
