"""Issuing tokens: what every grant does once it has decided to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authsvc.access.role_graph import Holding, is_reserved
from authsvc.metrics import TOKENS_ISSUED
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.resources import audience_of
from authsvc.protocol.errors import InvalidGrant
from authsvc.protocol.scope import OPENID, format_scope
from authsvc.storage.consents import find_consent
from authsvc.storage.refresh_tokens import TokenFamily
from authsvc.storage.users import User, find_role_ids, find_user
from authsvc.tokens.access_token import Authentication, mint_access_token
from authsvc.tokens.id_token import mint_id_token


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


async def issue_for_person(
    request: ClientRequest, client: Client, granted: PersonGrant, *, grant: str
) -> dict[str, Any]:
    """Return the token response (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3)."""
    server, family, user = request.server, granted.family, granted.user
    settings = server.resources.settings
    keyring = await server.resources.keyring.get()
    authentication = Authentication(auth_time=family.auth_time, acr=family.acr, amr=family.amr)
    access_token = await _mint_access_token(
        request,
        client,
        subject=user.id,
        held=await _find_held(request, client, user),
        scope=granted.scope,
        resources=granted.resources,
        authentication=authentication,
        family_id=family.id,
        session_id=granted.session_id,
    )
    response = _response(request, access_token, granted.scope)
    if granted.refresh_token is not None:
        response["refresh_token"] = granted.refresh_token
    if OPENID in granted.scope:
        response["id_token"] = mint_id_token(
            keyring.active(client.metadata.id_token_signed_response_alg),
            issuer=server.issuer,
            subject=user.id,
            client_id=client.client_id,
            authentication=authentication,
            now=request.now,
            ttl=settings.id_token_ttl,
            access_token=access_token,
            nonce=granted.nonce,
            session_id=granted.session_id,
        )
    TOKENS_ISSUED.labels(grant).inc()
    return response


async def issue_for_client(
    request: ClientRequest, client: Client, scope: Sequence[str], resources: Sequence[str]
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
    TOKENS_ISSUED.labels("client_credentials").inc()
    return _response(request, access_token, scope)


async def get_living_user(request: ClientRequest, user_id: str) -> User:
    """Return the person; raises InvalidGrant when they are gone or disabled."""
    user = await find_user(request.tx, user_id)
    if user is None or user.disabled_at is not None:
        raise InvalidGrant("The grant is invalid, expired or revoked", detail="user")
    return user


async def _find_held(request: ClientRequest, client: Client, user: User) -> Holding:
    """Return what the person holds, without the power over this service they kept from it."""
    graph = await request.server.resources.role_graph.get()
    held = graph.holding(await find_role_ids(request.tx, user.id))
    if not any(map(is_reserved, held.permissions)):
        return held
    consent = await find_consent(request.tx, user.id, client.client_id)
    allowed = consent[0] if consent else frozenset()
    return Holding(
        held.roles,
        tuple(name for name in held.permissions if name in allowed or not is_reserved(name)),
    )


async def _mint_access_token(
    request: ClientRequest,
    client: Client,
    *,
    subject: str,
    held: Holding,
    scope: Sequence[str],
    resources: Sequence[str],
    authentication: Authentication | None = None,
    family_id: str | None = None,
    session_id: str | None = None,
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
    )


def _response(request: ClientRequest, access_token: str, scope: Sequence[str]) -> dict[str, Any]:
    ttl = request.server.resources.settings.access_token_ttl
    return {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": int(ttl.total_seconds()),
        "scope": format_scope(scope),
    }
