"""The endpoints that clients call: token, device authorization, introspection, revocation.

Each request is one transaction, which commits also when the answer is an OAuth error:
what was written by then is the response to an attack.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response

from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.device_authorization import authorize_device
from authsvc.oauth.introspection import introspect
from authsvc.oauth.metadata import ENDPOINTS
from authsvc.oauth.revocation import revoke
from authsvc.oauth.token import answer_token_request
from authsvc.web.errors import NO_STORE, json_response
from authsvc.web.rate_limits import RateLimits
from authsvc.web.requests import authorization_header, form_parameters, origin_of, server_of


async def token(request: Request) -> Response:
    """``POST /token`` (RFC 6749 §3.2)."""
    async with _open(request, "token_endpoint", "token_client") as client_request:
        content = await answer_token_request(client_request)
    return json_response(content)


async def device_authorization(request: Request) -> Response:
    """``POST /device_authorization`` (RFC 8628 §3.1)."""
    async with _open(request, "device_authorization_endpoint", "token_client") as client_request:
        content = await authorize_device(client_request)
    return json_response(content)


async def introspection(request: Request) -> Response:
    """``POST /introspect`` (RFC 7662 §2)."""
    async with _open(request, "introspection_endpoint", "introspect_client") as client_request:
        content = await introspect(client_request)
    return json_response(content)


async def revocation(request: Request) -> Response:
    """``POST /revoke`` (RFC 7009 §2)."""
    async with _open(request, "revocation_endpoint", None) as client_request:
        await revoke(client_request)
    return Response(headers=NO_STORE)


@asynccontextmanager
async def _open(request: Request, endpoint: str, limit: str | None) -> AsyncIterator[ClientRequest]:
    """Read the request and open its transaction; ``endpoint`` is its name in the metadata."""
    parameters = await form_parameters(request)
    authorization = authorization_header(request)
    server = server_of(request)
    limits: RateLimits = request.app.state.rate_limits

    def admit(client: Client) -> None:
        request.state.client_id = client.client_id
        if limit is not None:
            limits.hit_client(request, client.client_id, limit)

    async with server.resources.database.transaction(commit_oauth_errors=True) as tx:
        yield ClientRequest(
            server,
            tx,
            f"{server.issuer}{ENDPOINTS[endpoint]}",
            parameters,
            authorization,
            origin_of(request),
            server.resources.clock.now(),
            admit,
        )
