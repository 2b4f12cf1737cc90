"""Telling clients that a session has ended (Back-Channel Logout, Front-Channel Logout)."""

from collections.abc import Mapping, Sequence
from typing import Any

from authsvc.oauth.client_keys import find_encryption
from authsvc.oauth.clients import Client
from authsvc.oauth.server import AuthorizationServer
from authsvc.oauth.subjects import subject_of
from authsvc.outbound import OutboundError
from authsvc.protocol.errors import OAuthError
from authsvc.protocol.redirect_uri import add_parameters
from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import new_id
from authsvc.storage.session_clients import add_session_client
from authsvc.tokens.logout_token import mint_logout_token

_DELIVERED = frozenset({200, 204})


async def note_session_client(tx: Transaction, session_id: str, client: Client) -> None:
    """Note that the client is used on the session, if it wants to hear when that ends.

    To be done while ``tx`` holds the session: who ends it then sees the note.
    """
    metadata = client.metadata
    if metadata.backchannel_logout_uri or metadata.frontchannel_logout_uri:
        await add_session_client(tx, session_id, client.client_id)


async def deliver_backchannel_logout(
    server: AuthorizationServer, payload: Mapping[str, Any]
) -> None:
    """Post a logout token to one client (Back-Channel Logout §2.5).

    ``payload`` is that of ``tokens.logout_token.BACKCHANNEL_LOGOUT``. Each attempt has a
    token and ``jti`` of its own: a client that failed once may have noted the last one, and
    would take this for a replay. A client that is gone, or wants no notices
    any more, is done. Raises OutboundError when the client has not taken it (§2.8).
    """
    await server.resources.changes.ensure_current()
    client = await server.clients.find(payload["client_id"])
    uri = client.metadata.backchannel_logout_uri if client else None
    if client is None or uri is None:
        return
    try:
        token = await _mint(server, client, payload)
    except OAuthError as error:
        raise OutboundError(error.detail or error.description, temporary=True) from error
    status = await server.resources.outbound.post_form(uri, {"logout_token": token})
    if status not in _DELIVERED:
        raise OutboundError(f"the client answered {status}", temporary=True)


async def find_frontchannel_logout_uris(
    server: AuthorizationServer, session_id: str, client_ids: Sequence[str]
) -> list[str]:
    """Return the URIs of ``client_ids`` to load in frames (Front-Channel Logout §3)."""
    uris = []
    for client_id in client_ids:
        client = await server.clients.find(client_id)
        uri = client.metadata.frontchannel_logout_uri if client else None
        if client is None or uri is None:
            continue
        if client.metadata.frontchannel_logout_session_required:
            uri = add_parameters(uri, [("iss", server.issuer), ("sid", session_id)])
        uris.append(uri)
    return uris


async def _mint(server: AuthorizationServer, client: Client, payload: Mapping[str, Any]) -> str:
    """Return a fresh logout token, encrypted where ID tokens of the client are (§2.4)."""
    encryption = await find_encryption(server, client, "id_token")
    keyring = await server.resources.keyring.get()
    now = server.resources.clock.now()
    token = mint_logout_token(
        keyring.active(client.metadata.id_token_signed_response_alg),
        issuer=server.issuer,
        subject=subject_of(server, client, payload["user_id"]),
        client_id=client.client_id,
        session_id=payload["session_id"],
        token_id=new_id(now),
        now=now,
    )
    return token if encryption is None else encryption.encrypt(token, content_type="JWT")
