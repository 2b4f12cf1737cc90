"""The steps of ``POST /token`` (RFC 6749 §3.2)."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from authsvc.metrics import GRANT_FAILURES
from authsvc.oauth.capabilities import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    REFRESH_TOKEN,
)
from authsvc.oauth.client_auth import admit_client, check_client
from authsvc.oauth.client_keys import Encryption, find_encryption
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.grants.authorization_code import redeem_authorization_code
from authsvc.oauth.grants.client_credentials import grant_client_credentials
from authsvc.oauth.grants.device_code import redeem_device_code
from authsvc.oauth.grants.refresh_token import rotate_refresh_token
from authsvc.protocol.errors import OAuthError, UnauthorizedClient, UnsupportedGrantType
from authsvc.tracing import span

Grant = Callable[[ClientRequest, Client], Awaitable[dict[str, Any]]]

GRANTS: Final[dict[str, Grant]] = {
    AUTHORIZATION_CODE: redeem_authorization_code,
    REFRESH_TOKEN: rotate_refresh_token,
    CLIENT_CREDENTIALS: grant_client_credentials,
    DEVICE_CODE: redeem_device_code,
}


async def answer_token_request(request: ClientRequest) -> dict[str, Any]:
    """Return the token response; raises an OAuthError (RFC 6749 §5.2)."""
    try:
        return await _answer(request)
    except OAuthError as error:
        GRANT_FAILURES.labels(_name_of(request.parameters.get("grant_type")), error.error).inc()
        raise


async def _answer(request: ClientRequest) -> dict[str, Any]:
    request.parameters.check_no_duplicates()
    checked = await check_client(request)
    # Before anything is spent: another host may be asked, for which no transaction waits.
    encryption = await _find_encryption(request, checked.client)
    client = await admit_client(request, checked)
    grant_type = request.parameters.require("grant_type")
    grant = GRANTS.get(grant_type)
    if grant is None:
        raise UnsupportedGrantType("This grant_type is not supported")
    if not client.check_grant_type(grant_type):
        raise UnauthorizedClient("The client is not registered for this grant_type")
    with span(f"grant {_name_of(grant_type)}"):
        response = await grant(request, client)
    if encryption is not None and "id_token" in response:
        response["id_token"] = encryption.encrypt(response["id_token"], content_type="JWT")
    return response


async def _find_encryption(request: ClientRequest, client: Client) -> Encryption | None:
    """Return how to encrypt an ID token, if the grant can yield one."""
    if request.parameters.get("grant_type") in (None, CLIENT_CREDENTIALS):
        return None
    return await find_encryption(request.server, client, "id_token")


def _name_of(grant_type: str | None) -> str:
    """Return a grant's name for metrics and traces: ours, never what a request says."""
    return grant_type.rpartition(":")[2] if grant_type in GRANTS else "other"
