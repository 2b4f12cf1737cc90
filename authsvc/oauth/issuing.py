"""Issuing tokens: what every grant does once it has decided to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from authsvc.access.role_graph import Holding, is_reserved
from authsvc.metrics import TOKENS_ISSUED
from authsvc.oauth.clients import Client, note_client_use
from authsvc.oauth.resources import audience_of
from authsvc.oauth.server import AuthorizationServer
from authsvc.oauth.subjects import subject_of
from authsvc.oauth.userinfo import claims_of
from authsvc.protocol.claims import claims_for_scopes, select_claims
from authsvc.protocol.errors import InvalidGrant
from authsvc.protocol.scope import OPENID, format_scope
from authsvc.storage.consents import find_consent
from authsvc.storage.database import Transaction
from authsvc.storage.refresh_tokens import TokenFamily
from authsvc.storage.users import User, find_role_ids, find_user
from authsvc.tokens.access_token import Authentication, mint_access_token
from authsvc.tokens.id_token import mint_id_token


class Issuing(Protocol):
    """Where something is issued: the server, the transaction, and the instant."""

    @property
    def server(self) -> AuthorizationServer:
        """The authorization server."""

    @property
    def tx(self) -> Transaction:
        """The transaction of the request."""

    @property
    def now(self) -> datetime:
        """The instant that the request is judged at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonGrant:
    """What is issued for a person: a family, narrowed to this answer."""

    user: User
    family: TokenFamily
    scope: Sequence[str]
    resources: Sequence[str]
    session_id: str | None
    nonce: str | None = None
    refresh_token: str | None = None

    @property
    def authentication(self) -> Authentication:
        """How and when the person signed in."""
        family = self.family
        return Authentication(auth_time=family.auth_time, acr=family.acr, amr=family.amr)


async def issue_for_person(
    request: Issuing, client: Client, granted: PersonGrant, *, grant: str
) -> dict[str, Any]:
    """Return the token response (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3)."""
    access_token = await mint_access_token_for_person(request, client, granted)
    response = token_response(request.server, access_token, granted.scope)
    if granted.refresh_token is not None:
        response["refresh_token"] = granted.refresh_token
    if OPENID in granted.scope:
        response["id_token"] = await mint_id_token_for_person(
            request, client, granted, access_token=access_token
        )
    await note_client_use(request.tx, client, request.now)
    TOKENS_ISSUED.labels(grant).inc()
    return response


async def mint_access_token_for_person(
    request: Issuing, client: Client, granted: PersonGrant
) -> str:
    """Return an access token for what is granted."""
    requested = (granted.family.claims or {}).get("userinfo", ())
    return await _mint_access_token(
        request,
        client,
        subject=subject_of(request.server, client, granted.user.id),
        held=await _find_held(request, client, granted.user),
        scope=granted.scope,
        resources=granted.resources,
        authentication=granted.authentication,
        family_id=granted.family.id,
        session_id=granted.session_id,
        userinfo_claims=requested if OPENID in granted.scope else (),
    )


async def mint_id_token_for_person(
    request: Issuing,
    client: Client,
    granted: PersonGrant,
    *,
    access_token: str | None = None,
    code: str | None = None,
    state: str | None = None,
    claims_of_scope: bool = False,
) -> str:
    """Return an ID token, bound to what is issued along with it.

    ``claims_of_scope`` puts in what userinfo would answer, for a client that gets no access
    token to ask there (OpenID Connect Core §5.4).
    """
    keyring = await request.server.resources.keyring.get()
    known = claims_of(granted.user)
    requested = (granted.family.claims or {}).get("id_token", ())
    claims = select_claims(requested, known)
    if claims_of_scope:
        claims |= claims_for_scopes(granted.scope, known)
    return mint_id_token(
        keyring.active(client.metadata.id_token_signed_response_alg),
        issuer=request.server.issuer,
        subject=subject_of(request.server, client, granted.user.id),
        client_id=client.client_id,
        authentication=granted.authentication,
        now=request.now,
        ttl=request.server.resources.settings.id_token_ttl,
        access_token=access_token,
        code=code,
        state=state,
        nonce=granted.nonce,
        # Also after the session has ended: clients find by it what they hold of the person
        # (Back-Channel Logout §2.6).
        session_id=granted.family.session_id,
        claims=claims,
    )


async def issue_for_client(
    request: Issuing, client: Client, scope: Sequence[str], resources: Sequence[str]
) -> dict[str, Any]:
    """Return the token response for the client itself; nothing is written."""
    access_token = await _mint_access_token(
        request,
        client,
        subject=client.client_id,
        held=(await request.server.resources.role_graph.get()).holding(client.role_ids),
        scope=scope,
        resources=resources,
    )
    await note_client_use(request.tx, client, request.now)
    TOKENS_ISSUED.labels("client_credentials").inc()
    return token_response(request.server, access_token, scope)


async def get_living_user(request: Issuing, user_id: str) -> User:
    """Return the person; raises InvalidGrant when they are gone or disabled."""
    user = await find_user(request.tx, user_id)
    if user is None or user.disabled_at is not None:
        raise InvalidGrant("The grant is invalid, expired or revoked", detail="user")
    return user


async def _find_held(request: Issuing, client: Client, user: User) -> Holding:
    """Return what the person holds, without the power over this service they kept from it."""
    graph = await request.server.resources.role_graph.get()
    held = graph.holding(await find_role_ids(request.tx, user.id))
    if not any(map(is_reserved, held.permissions)):
        return held
    allowed: frozenset[str] = frozenset()
    if not client.self_registered:
        consent = await find_consent(request.tx, user.id, client.client_id)
        allowed = consent[0] if consent else allowed
    return Holding(
        held.roles,
        tuple(name for name in held.permissions if name in allowed or not is_reserved(name)),
    )


async def _mint_access_token(
    request: Issuing,
    client: Client,
    *,
    subject: str,
    held: Holding,
    scope: Sequence[str],
    resources: Sequence[str],
    authentication: Authentication | None = None,
    family_id: str | None = None,
    session_id: str | None = None,
    userinfo_claims: Sequence[str] = (),
) -> str:
    server = request.server
    settings = server.resources.settings
    keyring = await server.resources.keyring.get()
    graph = await server.resources.role_graph.get()
    audience = audience_of(server.issuer, resources, scope)
    return mint_access_token(
        keyring.active(settings.signing_alg),
        issuer=server.issuer,
        subject=subject,
        client_id=client.client_id,
        audience=audience,
        scope=scope,
        roles=held.roles,
        permissions=graph.narrow(
            held.permissions, scope=scope, audience=audience, resources=settings.resources
        ),
        now=request.now,
        ttl=settings.access_token_ttl,
        authentication=authentication,
        family_id=family_id,
        session_id=session_id,
        userinfo_claims=userinfo_claims,
    )


def token_response(
    server: AuthorizationServer, access_token: str, scope: Sequence[str]
) -> dict[str, Any]:
    """Return the members of a response that every access token comes with (RFC 6749 §5.1)."""
    ttl = server.resources.settings.access_token_ttl
    return {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": int(ttl.total_seconds()),
        "scope": format_scope(scope),
    }
