"""``/register``: clients register themselves and look after that (RFC 7591, RFC 7592)."""

from dataclasses import fields
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from authsvc.bearer import read_bearer_token
from authsvc.oauth.registration import register_client
from authsvc.oauth.registration_management import (
    delete_registration,
    read_registration,
    replace_registration,
)
from authsvc.protocol.client_metadata import ClientMetadata
from authsvc.protocol.errors import InvalidClientMetadata, InvalidRequest
from authsvc.protocol.unsupported_metadata import UNSUPPORTED_MEMBERS
from authsvc.web.admin.bodies import check_plain, read_object
from authsvc.web.errors import NO_STORE, json_response
from authsvc.web.requests import origin_of, server_of

# RFC 7592 §2.2: besides metadata, what a client sends or must not.
_KNOWN: Final = (
    {field.name for field in fields(ClientMetadata)}
    | UNSUPPORTED_MEMBERS.keys()
    | {"client_id", "client_secret", "client_id_issued_at", "client_secret_expires_at"}
    | {"registration_access_token", "registration_client_uri"}
)


async def register(request: Request) -> Response:
    """``POST /register`` (RFC 7591 §3.1)."""
    token = read_bearer_token(request) if "authorization" in request.headers else None
    raw = await _read_metadata(request)
    registered = await register_client(server_of(request), raw, token, origin_of(request))
    request.state.client_id = registered["client_id"]
    return json_response(registered, status=201)


async def read(request: Request) -> Response:
    """``GET /register/{client_id}`` (RFC 7592 §2.1)."""
    client_id, token = request.path_params["client_id"], read_bearer_token(request)
    content = await read_registration(server_of(request), client_id, token)
    request.state.client_id = client_id
    return json_response(content)


async def replace(request: Request) -> Response:
    """``PUT /register/{client_id}`` (RFC 7592 §2.2)."""
    client_id, token = request.path_params["client_id"], read_bearer_token(request)
    raw = await _read_metadata(request)
    content = await replace_registration(
        server_of(request), client_id, token, raw, origin_of(request)
    )
    request.state.client_id = client_id
    return json_response(content)


async def delete(request: Request) -> Response:
    """``DELETE /register/{client_id}`` (RFC 7592 §2.3)."""
    client_id, token = request.path_params["client_id"], read_bearer_token(request)
    await delete_registration(server_of(request), client_id, token, origin_of(request))
    request.state.client_id = client_id
    return Response(status_code=204, headers=NO_STORE)


async def _read_metadata(request: Request) -> dict[str, Any]:
    """Return the members of the body that are known, in any language (RFC 7591 §2, §2.2).

    Whatever the others hold is ignored. Raises UnsupportedMediaType, and for what is no JSON
    object or no text InvalidClientMetadata (RFC 7591 §3.2.2).
    """
    try:
        raw = await read_object(request)
        known = {name: raw[name] for name in raw if name.partition("#")[0] in _KNOWN}
        # Keys have members of their own that are ignored, and those that are not are checked.
        check_plain({name: value for name, value in known.items() if name != "jwks"})
    except InvalidRequest as error:
        raise InvalidClientMetadata(error.description) from None
    return known
