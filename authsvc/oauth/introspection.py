"""Token introspection (RFC 7662)."""

from typing import Any

from authsvc.clock import timestamp
from authsvc.oauth.bearer import check_access_token
from authsvc.oauth.client_auth import authenticate_client
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.subjects import subject_of
from authsvc.protocol.errors import InvalidClient, InvalidToken
from authsvc.storage.refresh_tokens import find_refresh_token
from authsvc.storage.users import find_user
from authsvc.tokens.opaque import MAX_LENGTH

INACTIVE: dict[str, Any] = {"active": False}


async def introspect(request: ClientRequest) -> dict[str, Any]:
    """Return what the token is worth now, or ``{"active": false}`` (§2.2).

    Any client that an administrator made may ask about an access token, as a resource server
    does; one that registered itself about its own alone, as every client about refresh tokens.
    Public clients may not ask: anybody could, and try tokens out (§2.1).
    """
    request.parameters.check_no_duplicates()
    client = await authenticate_client(request)
    if client.is_public:
        raise InvalidClient("Client authentication failed", detail="public client")
    presented = request.parameters.require("token")
    if "." in presented:
        return await _introspect_access_token(request, client, presented)
    return await _introspect_refresh_token(request, client, presented)


async def _introspect_access_token(
    request: ClientRequest, client: Client, presented: str
) -> dict[str, Any]:
    try:
        living = await check_access_token(request.server, presented)
    except InvalidToken:
        return INACTIVE
    if client.self_registered and living.client.client_id != client.client_id:
        # A stranger is no resource server: it learns nothing of what others hold (§4).
        return INACTIVE
    answer = {
        **living.token.claims,
        "active": True,
        "token_type": "Bearer",
        "exp": timestamp(living.token.expires_at),
        "roles": living.roles,
        "permissions": living.permissions,
    }
    if living.user is not None and living.client.metadata.sector is None:
        # A name would tell two sectors that they know one person.
        answer["username"] = living.user.username
    return answer


async def _introspect_refresh_token(
    request: ClientRequest, client: Client, presented: str
) -> dict[str, Any]:
    if len(presented) > MAX_LENGTH:
        return INACTIVE
    token_hash = request.server.resources.opaque_hash("refresh token", presented)
    found = await find_refresh_token(request.tx, token_hash)
    if (
        found is None
        or found.family.client_id != client.client_id
        or found.consumed_at is not None
        or found.family.revoked_at is not None
        or min(found.expires_at, found.family.expires_at) <= request.now
    ):
        return INACTIVE
    user = await find_user(request.tx, found.family.user_id)
    if user is None or user.disabled_at is not None:
        return INACTIVE
    answer = {
        "active": True,
        "iss": request.server.issuer,
        "sub": subject_of(request.server, client, user.id),
        "client_id": client.client_id,
        "scope": found.family.scope,
        "iat": timestamp(found.created_at),
        "exp": timestamp(min(found.expires_at, found.family.expires_at)),
    }
    if client.metadata.sector is None:
        answer["username"] = user.username
    return answer
