"""The device authorization endpoint: a device asks for a pair of codes (RFC 8628 §3.1, §3.2)."""

from typing import Any, Final

from authsvc.oauth.authorization_request import read_scope
from authsvc.oauth.capabilities import DEVICE_CODE
from authsvc.oauth.client_auth import authenticate_client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.resources import read_resources
from authsvc.protocol.errors import TemporarilyUnavailable, UnauthorizedClient
from authsvc.protocol.redirect_uri import add_parameters
from authsvc.protocol.scope import format_scope
from authsvc.protocol.user_code import format_user_code, new_user_code
from authsvc.storage.device_codes import DeviceCode, save_device_code
from authsvc.storage.identifiers import new_id
from authsvc.tokens.opaque import new_opaque_value

_ATTEMPTS: Final = 8


async def authorize_device(request: ClientRequest) -> dict[str, Any]:
    """Return the device authorization response; raises an OAuthError (RFC 6749 §5.2)."""
    request.parameters.check_no_duplicates()
    client = await authenticate_client(request)
    if not client.check_grant_type(DEVICE_CODE):
        raise UnauthorizedClient("The client is not registered for this grant_type")
    settings = request.server.resources.settings
    code = DeviceCode(
        id=new_id(request.now),
        client_id=client.client_id,
        user_id=None,
        session_id=None,
        scope=format_scope(read_scope(client, request.parameters)),
        resources=read_resources(request.parameters, client),
        poll_interval=int(settings.device_poll_interval.total_seconds()),
        polled_at=None,
        created_at=request.now,
        expires_at=request.now + settings.device_code_ttl,
    )
    device_code = new_opaque_value()
    user_code = format_user_code(await _save(request, code, device_code))
    verification_uri = f"{request.server.issuer}/device"
    return {
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": verification_uri,
        "verification_uri_complete": add_parameters(verification_uri, [("user_code", user_code)]),
        "expires_in": int(settings.device_code_ttl.total_seconds()),
        "interval": code.poll_interval,
    }


async def _save(request: ClientRequest, code: DeviceCode, device_code: str) -> str:
    """Store the code under a user code that no other has, and return that one."""
    opaque_hash = request.server.resources.opaque_hash
    for _ in range(_ATTEMPTS):
        user_code = new_user_code()
        if await save_device_code(
            request.tx,
            code,
            device_code_hash=opaque_hash("device code", device_code),
            user_code_hash=opaque_hash("user code", user_code),
        ):
            return user_code
    raise TemporarilyUnavailable(
        "There is no free user code at the moment", detail="user codes collide", retry_after=60
    )
