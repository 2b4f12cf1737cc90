"""The client credentials grant (RFC 6749 §4.4). It reads and writes no row."""

from typing import Any

from authsvc.oauth.clients import PERSONAL_SCOPES, Client
from authsvc.oauth.context import ClientRequest
from authsvc.oauth.issuing import issue_for_client
from authsvc.oauth.resources import read_resources
from authsvc.protocol.scope import check_scope, parse_scope


async def grant_client_credentials(request: ClientRequest, client: Client) -> dict[str, Any]:
    """Return an access token for the client itself; never a refresh token (§4.4.3).

    Without ``scope`` the token has all that is registered. Raises InvalidScope or
    InvalidTarget.
    """
    allowed = [scope for scope in client.metadata.scope if scope not in PERSONAL_SCOPES]
    scope = parse_scope(request.parameters.get("scope")) or tuple(allowed)
    check_scope(scope, allowed)
    resources = read_resources(request.parameters, client)
    return await issue_for_client(request, client, scope, resources)
