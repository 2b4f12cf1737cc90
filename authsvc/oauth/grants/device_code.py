"""The device code grant: a device asks again and again until its person answers (RFC 8628 §3.4)."""

from typing import Any, Final

from authsvc.metrics import CODE_REPLAYS
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.families import issue_for_code
from authsvc.oauth.resources import narrow_resources
from authsvc.protocol.errors import (
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    InvalidGrant,
    OAuthError,
    SlowDown,
)
from authsvc.storage.device_codes import (
    DeviceCode,
    consume_device_code,
    find_device_code,
    note_poll,
)
from authsvc.storage.sessions import hold_session
from authsvc.tokens.opaque import MAX_LENGTH

_PENALTY: Final = 5
"""Seconds by which the interval grows for each poll that comes too soon (RFC 8628 §3.5)."""


async def redeem_device_code(request: ClientRequest, client: Client) -> dict[str, Any]:
    """Spend the device code, if its person has said yes, and return what it stands for.

    Raises AuthorizationPending, SlowDown, AccessDenied, ExpiredToken, InvalidGrant, or
    InvalidTarget.
    """
    presented = request.parameters.require("device_code")
    if len(presented) > MAX_LENGTH:
        raise _invalid("too long")
    code_hash = request.server.resources.opaque_hash("device code", presented)
    code = await find_device_code(request.tx, code_hash)
    if code is None or code.client_id != client.client_id:
        raise _invalid("unknown or of another client")
    if code.session_id is not None and code.consumed_at is None:
        # Before the code is spent, as for authorization codes: see hold_session_of_code.
        session = await hold_session(request.tx, code.session_id)
        if session is not None and await consume_device_code(
            request.tx, code.id, session_id=session.id, now=request.now
        ):
            resources = narrow_resources(request.parameters, code.resources)
            return await issue_for_code(
                request, client, code, session, resources=resources, grant="device_code"
            )
        code = await find_device_code(request.tx, code_hash)
        if code is None or code.consumed_at is None:
            raise ExpiredToken("The device code has expired", detail="code or session is over")
    raise await _find_refusal(request, client, code)


async def _find_refusal(request: ClientRequest, client: Client, code: DeviceCode) -> OAuthError:
    """Return why the code yields nothing (yet); a poll of one that is pending is counted."""
    if code.consumed_at is not None:
        await _revoke_replayed(request, client, code)
        return _invalid("used before")
    if code.denied_at is not None:
        return AccessDenied("The person said no")
    if code.expires_at <= request.now:
        return ExpiredToken("The device code has expired")
    if await note_poll(request.tx, code, now=request.now, penalty=_PENALTY):
        return AuthorizationPending("The person has not answered yet")
    return SlowDown("The device asks too often: it has to wait 5 seconds longer from now on")


async def _revoke_replayed(request: ClientRequest, client: Client, code: DeviceCode) -> None:
    """Take back all that came of a code that somebody else holds, too (RFC 6749 §4.1.2)."""
    await request.server.resources.revoker.revoke_family(request.tx, code.id)
    await request.server.resources.audit.record(
        request.tx,
        "device_code.replayed",
        request.origin_of(client),
        now=request.now,
        subject=code.id,
        client_id=client.client_id,
    )
    CODE_REPLAYS.inc()


def _invalid(detail: str) -> InvalidGrant:
    return InvalidGrant("The device code is invalid or used", detail=detail)
