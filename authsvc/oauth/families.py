"""Token families: what a person's grant begins (RFC 6749 §6, RFC 9700 §4.14.2)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from authsvc.oauth.context import ClientRequest
from authsvc.storage.refresh_tokens import TokenFamily, create_family, save_refresh_token
from authsvc.storage.sessions import Session
from authsvc.tokens.access_token import Authentication


def begin_family(
    family_id: str,
    client_id: str,
    session: Session,
    *,
    authentication: Authentication,
    scope: str,
    resources: Sequence[str],
    claims: Mapping[str, Sequence[str]] | None,
    now: datetime,
    expires_at: datetime,
) -> TokenFamily:
    """Return the family of what is issued on ``session``; nothing is stored yet.

    ``authentication`` is how the person had signed in when they allowed it: the session may
    have been renewed since.
    """
    return TokenFamily(
        id=family_id,
        client_id=client_id,
        user_id=session.user_id,
        session_id=session.id,
        scope=scope,
        resources=resources,
        claims=claims,
        auth_time=authentication.auth_time,
        acr=authentication.acr,
        amr=authentication.amr,
        created_at=now,
        expires_at=expires_at,
    )


def authentication_of(
    session: Session,
    *,
    auth_time: datetime | None,
    acr: str | None,
    amr: Sequence[str] | None,
) -> Authentication:
    """Return how the person had signed in, as a code noted it; else as the session says."""
    if auth_time is None or acr is None or amr is None:
        return Authentication(auth_time=session.auth_time, acr=session.acr, amr=session.amr)
    return Authentication(auth_time=auth_time, acr=acr, amr=amr)


async def save_family(request: ClientRequest, family: TokenFamily, refresh_token: str) -> None:
    """Store the family with its first refresh token; without one it needs no row."""
    resources = request.server.resources
    await create_family(request.tx, family)
    await save_refresh_token(
        request.tx,
        resources.opaque_hash("refresh token", refresh_token),
        family.id,
        now=request.now,
        expires_at=request.now + resources.settings.refresh_token_idle_ttl,
    )
