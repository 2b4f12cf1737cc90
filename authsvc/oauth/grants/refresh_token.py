"""The refresh token grant: rotation, reuse detection and the short window.

RFC 6749 §6, RFC 9700 §4.14.2. A token is exchanged once. Presented again within the
window, by the same client, before its successor was used, it yields that same successor:
a response was lost, or two tabs refreshed at once. Anything else is theft, and ends the
family.
"""

from typing import Any

from authsvc.metrics import REFRESH_REUSES, REFRESH_WINDOW_USES
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.issuing import PersonGrant, get_living_user, issue_for_person
from authsvc.oauth.resources import narrow_resources
from authsvc.protocol.errors import InvalidGrant
from authsvc.protocol.scope import check_scope, parse_scope
from authsvc.storage.refresh_tokens import (
    RefreshToken,
    consume_refresh_token,
    find_refresh_token,
    is_unused,
    save_refresh_token,
)
from authsvc.tokens.opaque import (
    MAX_LENGTH,
    new_opaque_value,
    open_successor,
    seal_successor,
)


async def rotate_refresh_token(request: ClientRequest, client: Client) -> dict[str, Any]:
    """Exchange the refresh token for a new access token and its successor.

    All checks come before the exchange: a refused request spends nothing. Raises
    InvalidGrant, InvalidScope or InvalidTarget.
    """
    presented = request.parameters.require("refresh_token")
    if len(presented) > MAX_LENGTH:
        raise _invalid("too long")
    token_hash = request.server.resources.opaque_hash("refresh token", presented)
    found = await _find_living(request, client, token_hash)
    user = await get_living_user(request, found.family.user_id)
    granted = parse_scope(found.family.scope)
    scope = parse_scope(request.parameters.get("scope")) or granted
    check_scope(scope, granted)
    resources = narrow_resources(request.parameters, found.family.resources)
    successor = (
        await _exchange(request, presented, token_hash) if found.consumed_at is None else None
    )
    if successor is None:
        successor = await _repeat(request, client, presented, token_hash)
    return await issue_for_person(
        request,
        client,
        PersonGrant(
            user=user,
            family=found.family,
            scope=scope,
            resources=resources,
            # Offline access outlives the session, so these tokens do not hang on it.
            session_id=None,
            refresh_token=successor,
        ),
        grant="refresh_token",
    )


async def _find_living(request: ClientRequest, client: Client, token_hash: bytes) -> RefreshToken:
    found = await find_refresh_token(request.tx, token_hash)
    if found is None:
        raise _invalid("unknown")
    if found.family.client_id != client.client_id:
        raise await _end_family(request, client, found, "another client")
    if found.family.revoked_at is not None:
        raise _invalid("revoked")
    if min(found.expires_at, found.family.expires_at) <= request.now:
        raise _invalid("expired")
    return found


async def _exchange(request: ClientRequest, presented: str, token_hash: bytes) -> str | None:
    """Spend the token and store its successor; None when somebody was quicker."""
    successor = new_opaque_value()
    successor_hash = request.server.resources.opaque_hash("refresh token", successor)
    consumed = await consume_refresh_token(
        request.tx,
        token_hash,
        successor_hash=successor_hash,
        successor_sealed=seal_successor(presented, successor),
        now=request.now,
    )
    if consumed is None:
        return None
    settings = request.server.resources.settings
    await save_refresh_token(
        request.tx,
        successor_hash,
        consumed,
        now=request.now,
        expires_at=request.now + settings.refresh_token_idle_ttl,
    )
    return successor


async def _repeat(request: ClientRequest, client: Client, presented: str, token_hash: bytes) -> str:
    """Return the successor that the spent token was exchanged for, or end the family."""
    spent = await find_refresh_token(request.tx, token_hash)
    if spent is None or spent.family.revoked_at is not None:
        raise _invalid("revoked meanwhile")
    window = request.server.resources.settings.refresh_window
    if (
        # Without a window nothing is repeated, however early by the clock this request is.
        window
        and spent.consumed_at is not None
        and spent.successor_hash is not None
        and spent.successor_sealed is not None
        and request.now < spent.consumed_at + window
        and await is_unused(request.tx, spent.successor_hash)
    ):
        successor = open_successor(presented, spent.successor_sealed)
        if successor is not None:
            REFRESH_WINDOW_USES.inc()
            return successor
    raise await _end_family(request, client, spent, "used before")


async def _end_family(
    request: ClientRequest, client: Client, token: RefreshToken, reason: str
) -> InvalidGrant:
    """Revoke the family of a token that somebody else has, and return the answer."""
    resources = request.server.resources
    if await resources.revoker.revoke_family(request.tx, token.family.id):
        REFRESH_REUSES.inc()
        await resources.audit.record(
            request.tx,
            "refresh_token.reused",
            request.origin_of(client),
            now=request.now,
            subject=token.family.user_id,
            client_id=token.family.client_id,
            family=token.family.id,
            reason=reason,
        )
    return _invalid(reason)


def _invalid(detail: str) -> InvalidGrant:
    return InvalidGrant("The refresh token is invalid, expired or revoked", detail=detail)
