"""The steps of ``POST /token`` (RFC 6749 §3.2)."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from authsvc.oauth.capabilities import AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN
from authsvc.oauth.client_auth import authenticate_client
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.grants.authorization_code import redeem_authorization_code
from authsvc.oauth.grants.client_credentials import grant_client_credentials
from authsvc.oauth.grants.refresh_token import rotate_refresh_token
from authsvc.protocol.errors import UnauthorizedClient, UnsupportedGrantType

Grant = Callable[[ClientRequest, Client], Awaitable[dict[str, Any]]]

GRANTS: Final[dict[str, Grant]] = {
    AUTHORIZATION_CODE: redeem_authorization_code,
    REFRESH_TOKEN: rotate_refresh_token,
    CLIENT_CREDENTIALS: grant_client_credentials,
}


async def answer_token_request(request: ClientRequest) -> dict[str, Any]:
    """Return the token response; raises an OAuthError (RFC 6749 §5.2)."""
    request.parameters.check_no_duplicates()
    client = await authenticate_client(request)
    grant_type = request.parameters.require("grant_type")
    grant = GRANTS.get(grant_type)
    if grant is None:
        raise UnsupportedGrantType("This grant_type is not supported")
    if not client.check_grant_type(grant_type):
        raise UnauthorizedClient("The client is not registered for this grant_type")
    return await grant(request, client)
