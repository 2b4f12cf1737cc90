"""Token families: what a person's grant begins (RFC 6749 §6, RFC 9700 §4.14.2)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.issuing import PersonGrant, get_living_user, issue_for_person
from authsvc.protocol.scope import OFFLINE_ACCESS, parse_scope
from authsvc.storage.refresh_tokens import TokenFamily, create_family, save_refresh_token
from authsvc.storage.sessions import Session
from authsvc.tokens.access_token import Authentication
from authsvc.tokens.opaque import new_opaque_value


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


class RedeemedCode(Protocol):
    """A code, of a browser or of a device, that was spent.

    How the person had signed in is missing in one that an older version issued.
    """

    @property
    def id(self) -> str:
        """The identifier, which becomes that of the family."""

    @property
    def scope(self) -> str:
        """The scope that the person allowed."""

    @property
    def resources(self) -> Sequence[str]:
        """The resources that the person allowed."""

    @property
    def auth_time(self) -> datetime | None:
        """When the person had signed in."""

    @property
    def acr(self) -> str | None:
        """By which assurance level."""

    @property
    def amr(self) -> Sequence[str] | None:
        """By which methods."""


async def issue_for_code(
    request: ClientRequest,
    client: Client,
    code: RedeemedCode,
    session: Session,
    *,
    resources: Sequence[str],
    grant: str,
    claims: Mapping[str, Sequence[str]] | None = None,
    nonce: str | None = None,
) -> dict[str, Any]:
    """Return the token response for a code that was spent on ``session``, which is held.

    With offline access the family is stored, and its first refresh token comes along.
    """
    family = begin_family(
        code.id,
        client.client_id,
        session,
        authentication=_authentication_of(code, session),
        scope=code.scope,
        resources=code.resources,
        claims=claims,
        now=request.now,
        expires_at=request.now + request.server.resources.settings.refresh_token_ttl,
    )
    scope = parse_scope(code.scope)
    refresh_token = new_opaque_value() if OFFLINE_ACCESS in scope else None
    response = await issue_for_person(
        request,
        client,
        PersonGrant(
            user=await get_living_user(request, session.user_id),
            family=family,
            scope=scope,
            resources=resources,
            session_id=session.id,
            nonce=nonce,
            refresh_token=refresh_token,
        ),
        grant=grant,
    )
    if refresh_token is not None:
        await _save_family(request, family, refresh_token)
    return response


def _authentication_of(code: RedeemedCode, session: Session) -> Authentication:
    """Return how the person had signed in, as the code noted it; else as the session says."""
    if code.auth_time is None or code.acr is None or code.amr is None:
        return Authentication(auth_time=session.auth_time, acr=session.acr, amr=session.amr)
    return Authentication(auth_time=code.auth_time, acr=code.acr, amr=code.amr)


async def _save_family(request: ClientRequest, family: TokenFamily, refresh_token: str) -> None:
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
