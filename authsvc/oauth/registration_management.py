"""Client configuration: a client looks after what it registered (RFC 7592).

OpenID Connect Registration §4. Whoever holds the registration access token is the client.
"""

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from authsvc.oauth.client_administration import MetadataChange
from authsvc.oauth.client_secrets import uses_secret
from authsvc.oauth.clients import Client, load_client, registration_response
from authsvc.oauth.registration import with_management
from authsvc.oauth.registration_rules import check_self_registered, limits_of_change
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import InvalidRequest, InvalidToken, NotFound, OAuthError
from authsvc.protocol.text import is_storable
from authsvc.storage.audit import Origin

_FORBIDDEN: Final = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
_NO_HASH: Final = bytes(32)


async def read_registration(
    server: AuthorizationServer, client_id: str, token: str
) -> dict[str, Any]:
    """Return the client information response (RFC 7592 §2.1); raises InvalidToken.

    Secrets are not in it: they are not known here any more.
    """
    client = await _find_managed_client(server, client_id, token)
    return with_management(server, registration_response(client), token)


async def replace_registration(
    server: AuthorizationServer,
    client_id: str,
    token: str,
    raw: Mapping[str, Any],
    origin: Origin,
) -> dict[str, Any]:
    """Replace all metadata with ``raw``; return the response (RFC 7592 §2.2).

    What is left out is removed, or back at its default. Raises InvalidToken, InvalidRequest,
    Conflict when the client is changed at the same time, and what registering raises.
    """
    client = await _find_managed_client(server, client_id, token)
    _check_request(server, client, raw)
    limits = limits_of_change(server.resources.settings, client.metadata)
    after = await check_self_registered(server, raw, limits)
    change = MetadataChange(client.metadata, after)
    try:
        async with server.resources.database.transaction() as tx:
            updated = await server.client_administration.update(
                tx, client_id, change, _origin(origin, client_id)
            )
    except NotFound as error:
        raise _refused("deleted meanwhile") from error
    secret = raw.get("client_secret")
    if secret is not None and uses_secret(after):
        updated.setdefault("client_secret", secret)
    return with_management(server, updated, token)


async def delete_registration(
    server: AuthorizationServer, client_id: str, token: str, origin: Origin
) -> None:
    """Delete the client and end all it was issued (RFC 7592 §2.3); raises InvalidToken."""
    await _find_managed_client(server, client_id, token)
    try:
        async with server.resources.database.transaction() as tx:
            await server.client_administration.delete(tx, client_id, _origin(origin, client_id))
    except NotFound as error:
        raise _refused("deleted meanwhile") from error


async def _find_managed_client(server: AuthorizationServer, client_id: str, token: str) -> Client:
    """Return the client that the token is for; raises InvalidToken.

    An unknown client, one that an administrator made, and a wrong token are one answer.
    """
    resources = server.resources
    client = None
    if is_storable(client_id):
        async with resources.database.reading() as tx:
            client = await load_client(tx, client_id)
    given = resources.opaque_hash("registration access token", token)
    kept = client.registration_token_hash if client is not None else None
    right = hmac.compare_digest(given, kept or _NO_HASH)
    if client is None or kept is None or not right:
        raise _refused("unknown client" if client is None else "wrong token")
    return client


def _check_request(server: AuthorizationServer, client: Client, raw: Mapping[str, Any]) -> None:
    """Hold the request to what RFC 7592 §2.2 says about its members besides metadata."""
    for name in _FORBIDDEN:
        if name in raw:
            raise InvalidRequest(f"{name} must not be sent")
    if raw.get("client_id") != client.client_id:
        raise InvalidRequest("client_id must be there and be that of the client")
    secret = raw.get("client_secret")
    if secret is None:
        return
    if not isinstance(secret, str):
        raise InvalidRequest("client_secret must be a text")
    given = server.resources.opaque_hash("client secret", secret)
    now = server.resources.clock.now()
    right = False
    for row in client.secrets:
        living = row.expires_at is None or row.expires_at > now
        right |= hmac.compare_digest(given, row.secret_hash) and living
    if not right:
        raise InvalidRequest("client_secret must be the one that the client was given")


def _origin(origin: Origin, client_id: str) -> Origin:
    return replace(origin, actor=f"client:{client_id}")


def _refused(detail: str) -> OAuthError:
    return InvalidToken("The registration access token is not valid", detail=detail)
