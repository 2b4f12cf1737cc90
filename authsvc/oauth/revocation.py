"""Token revocation (RFC 7009)."""

from authsvc.oauth.client_auth import authenticate_client
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.subjects import find_user_id
from authsvc.protocol.errors import InvalidGrant, InvalidToken
from authsvc.storage.refresh_tokens import find_refresh_token
from authsvc.tokens.access_token import verify_access_token
from authsvc.tokens.opaque import MAX_LENGTH


async def revoke(request: ClientRequest) -> None:
    """Revoke the token of the client that asks; an unknown token is no error (§2.2).

    A refresh token takes its family and their access tokens along, an access token goes
    alone (§2.1). Raises InvalidGrant for a token of another client.
    """
    request.parameters.check_no_duplicates()
    client = await authenticate_client(request)
    presented = request.parameters.require("token")
    if "." in presented:
        await _revoke_access_token(request, client, presented)
    else:
        await _revoke_refresh_token(request, client, presented)


async def _revoke_access_token(request: ClientRequest, client: Client, presented: str) -> None:
    resources = request.server.resources
    try:
        token = verify_access_token(
            presented,
            await resources.keyring.get(),
            issuer=request.server.issuer,
            now=request.now,
            ttl=resources.settings.access_token_ttl,
        )
    except InvalidToken:
        return
    _check_owner(token.client_id, client)
    user_id = find_user_id(request.server, client, token.subject) if token.of_person else None
    if await resources.revocations.is_revoked(token.identities(user_id), token.issued_at):
        return
    await resources.revoker.revoke_token(request.tx, token.token_id, token.expires_at)
    await _record(request, client, "access_token.revoked", token.token_id)


async def _revoke_refresh_token(request: ClientRequest, client: Client, presented: str) -> None:
    if len(presented) > MAX_LENGTH:
        return
    resources = request.server.resources
    found = await find_refresh_token(request.tx, resources.opaque_hash("refresh token", presented))
    if found is None:
        return
    _check_owner(found.family.client_id, client)
    if await resources.revoker.revoke_family(request.tx, found.family.id):
        await _record(request, client, "refresh_token.revoked", found.family.id)


def _check_owner(client_id: str, client: Client) -> None:
    if client_id != client.client_id:
        raise InvalidGrant("The token was issued to another client", detail=client_id)


async def _record(request: ClientRequest, client: Client, event: str, subject: str) -> None:
    await request.server.resources.audit.record(
        request.tx,
        event,
        request.origin_of(client),
        now=request.now,
        subject=subject,
        client_id=client.client_id,
    )
