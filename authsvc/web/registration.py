"""``/register``: clients register themselves and look after that (RFC 7591, RFC 7592)."""

from starlette.requests import Request
from starlette.responses import Response

from authsvc.guard import read_bearer_token
from authsvc.oauth.registration import register_client
from authsvc.oauth.registration_management import (
    delete_registration,
    read_registration,
    replace_registration,
)
from authsvc.web.admin.bodies import read_object
from authsvc.web.errors import NO_STORE, json_response
from authsvc.web.requests import origin_of, server_of


async def register(request: Request) -> Response:
    """``POST /register`` (RFC 7591 §3.1)."""
    token = read_bearer_token(request) if "authorization" in request.headers else None
    raw = await read_object(request)
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
    raw = await read_object(request)
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
