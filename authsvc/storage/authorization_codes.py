"""Authorization codes: stored as keyed hashes, consumed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, update

from authsvc.storage.database import Transaction
from authsvc.storage.schema import authorization_codes


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """What a code stands for. Its identifier becomes that of the token family.

    How the person had signed in is that of the moment when it was issued: a session may be
    renewed since. It is missing in codes of the version that did not store it.
    """

    id: str
    client_id: str
    user_id: str
    session_id: str
    redirect_uri: str
    redirect_uri_sent: bool
    scope: str
    resources: Sequence[str]
    nonce: str | None
    claims: Mapping[str, Sequence[str]] | None
    code_challenge: str | None
    auth_time: datetime | None
    acr: str | None
    amr: Sequence[str] | None
    created_at: datetime
    expires_at: datetime


_COLUMNS = (
    authorization_codes.c.id,
    authorization_codes.c.client_id,
    authorization_codes.c.user_id,
    authorization_codes.c.session_id,
    authorization_codes.c.redirect_uri,
    authorization_codes.c.redirect_uri_sent,
    authorization_codes.c.scope,
    authorization_codes.c.resources,
    authorization_codes.c.nonce,
    authorization_codes.c.claims,
    authorization_codes.c.code_challenge,
    authorization_codes.c.auth_time,
    authorization_codes.c.acr,
    authorization_codes.c.amr,
    authorization_codes.c.created_at,
    authorization_codes.c.expires_at,
)


async def save_authorization_code(
    tx: Transaction, code_hash: bytes, code: AuthorizationCode
) -> None:
    """Store a code."""
    await tx.execute(
        authorization_codes.insert().values(
            code_hash=code_hash,
            id=code.id,
            client_id=code.client_id,
            user_id=code.user_id,
            session_id=code.session_id,
            redirect_uri=code.redirect_uri,
            redirect_uri_sent=code.redirect_uri_sent,
            scope=code.scope,
            resources=list(code.resources),
            nonce=code.nonce,
            claims=code.claims,
            code_challenge=code.code_challenge,
            auth_time=code.auth_time,
            acr=code.acr,
            amr=code.amr,
            created_at=code.created_at,
            expires_at=code.expires_at,
        )
    )


async def consume_authorization_code(
    tx: Transaction, code_hash: bytes, *, client_id: str, now: datetime
) -> AuthorizationCode | None:
    """Spend the client's code and return what it stands for.

    One statement: of any number of callers one gets it, the others None. A code of
    another client is left as it is.
    """
    row = (
        await tx.execute(
            update(authorization_codes)
            .where(
                authorization_codes.c.code_hash == code_hash,
                authorization_codes.c.client_id == client_id,
                authorization_codes.c.consumed_at.is_(None),
                authorization_codes.c.expires_at > now,
            )
            .values(consumed_at=now)
            .returning(*_COLUMNS)
        )
    ).first()
    return None if row is None else AuthorizationCode(*row)


async def find_consumed_code(tx: Transaction, code_hash: bytes) -> tuple[str, str] | None:
    """Return the identifier and the client of a code that was spent, or None."""
    row = (
        await tx.execute(
            select(authorization_codes.c.id, authorization_codes.c.client_id).where(
                authorization_codes.c.code_hash == code_hash,
                authorization_codes.c.consumed_at.is_not(None),
            )
        )
    ).first()
    return None if row is None else (row[0], row[1])


async def void_codes_of_users(
    tx: Transaction, user_ids: Sequence[str], *, now: datetime
) -> list[str]:
    """Let the people's codes expire; return the identifiers of all recent ones."""
    return await _void(tx, authorization_codes.c.user_id.in_(user_ids), now)


async def void_codes_of_clients(
    tx: Transaction, client_ids: Sequence[str], *, now: datetime
) -> list[str]:
    """Let the clients' codes expire; return the identifiers of all recent ones."""
    return await _void(tx, authorization_codes.c.client_id.in_(client_ids), now)


async def void_codes_of_sessions(
    tx: Transaction, session_ids: Sequence[str], *, now: datetime
) -> list[str]:
    """Let the sessions' codes expire; return the identifiers of all recent ones."""
    return await _void(tx, authorization_codes.c.session_id.in_(session_ids), now)


async def _void(tx: Transaction, owned: ColumnElement[bool], now: datetime) -> list[str]:
    recent = (owned, authorization_codes.c.expires_at > now)
    # They expire: spent would mean that somebody redeemed them.
    voided = await tx.execute(
        update(authorization_codes)
        .where(*recent, authorization_codes.c.consumed_at.is_(None))
        .values(expires_at=now)
        .returning(authorization_codes.c.id)
    )
    # Also those just redeemed: their tokens have no family's row unless they refresh.
    redeemed = await tx.execute(select(authorization_codes.c.id).where(*recent))
    return [*voided.scalars(), *redeemed.scalars()]
