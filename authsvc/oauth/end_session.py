"""RP-Initiated Logout (OpenID Connect RP-Initiated Logout §2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authsvc.oauth.authorize import SignedInBrowser
from authsvc.oauth.clients import Client
from authsvc.oauth.logout_notices import find_frontchannel_logout_uris
from authsvc.oauth.server import AuthorizationServer
from authsvc.oauth.subjects import find_user_id
from authsvc.protocol.errors import InvalidRequest
from authsvc.protocol.parameters import Parameters
from authsvc.protocol.redirect_uri import add_parameters
from authsvc.storage.audit import Origin
from authsvc.storage.database import Transaction
from authsvc.storage.session_clients import list_session_clients
from authsvc.tokens.id_token import parse_id_token_hint


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A request to sign out: from which client, where to go then, and whether it is vouched."""

    client: Client | None
    redirect_to: str | None
    session_id: str | None
    user_id: str | None

    def is_vouched_for(self, browser: SignedInBrowser | None) -> bool:
        """Whether the hint proves that the client means this very session.

        Then there is nothing to ask. Without that proof any page could sign people out.
        """
        if browser is None:
            return False
        if self.session_id is not None:
            return self.session_id == browser.session.id
        return self.user_id == browser.session.user_id


async def read_logout_request(server: AuthorizationServer, parameters: Parameters) -> LogoutRequest:
    """Return the request; raises InvalidRequest, to be shown and never redirected (§4).

    The hint may have expired, and its session ended. It is signed by us, and nothing else:
    an encrypted one only its client could read.
    """
    parameters.check_no_duplicates()
    hint, client_id = parameters.get("id_token_hint"), parameters.get("client_id")
    claims: Mapping[str, Any] = {}
    if hint is not None:
        keyring = await server.resources.keyring.get()
        found = parse_id_token_hint(hint, keyring, issuer=server.issuer)
        if found is None:
            raise InvalidRequest("id_token_hint is not an ID token of this issuer")
        claims = found
        if client_id is not None and client_id != claims["aud"]:
            raise InvalidRequest("client_id is not the client of the id_token_hint")
        client_id = claims["aud"]
    client = await server.clients.find(client_id) if client_id else None
    if client_id is not None and client is None:
        raise InvalidRequest("There is no client with this client_id")
    user_id = None
    if client is not None and "sub" in claims:
        user_id = find_user_id(server, client, claims["sub"])
    return LogoutRequest(client, _read_redirect(client, parameters), claims.get("sid"), user_id)


async def end_browser_session(
    server: AuthorizationServer,
    tx: Transaction,
    browser: SignedInBrowser,
    client: Client | None,
    origin: Origin,
) -> list[str]:
    """Sign the browser out: its session ends, and the access tokens it got.

    Return the URIs to load in frames, so that the clients it was used at hear of it
    (Front-Channel Logout §3); none when somebody else has ended it a moment ago.
    """
    session_id = browser.session.id
    if await server.resources.revoker.revoke_session(tx, session_id) is None:
        return []
    await server.resources.audit.record(
        tx,
        "session.ended",
        origin,
        now=server.resources.clock.now(),
        subject=browser.session.user_id,
        client_id=client.client_id if client else "",
        session=session_id,
    )
    client_ids = await list_session_clients(tx, session_id)
    return await find_frontchannel_logout_uris(server, session_id, client_ids)


def _read_redirect(client: Client | None, parameters: Parameters) -> str | None:
    uri = parameters.get("post_logout_redirect_uri")
    if uri is None:
        return None
    if client is None:
        raise InvalidRequest("post_logout_redirect_uri needs an id_token_hint or client_id")
    if uri not in client.metadata.post_logout_redirect_uris:
        raise InvalidRequest("post_logout_redirect_uri is not registered for this client")
    state = parameters.get("state")
    return add_parameters(uri, [("state", state)]) if state is not None else uri
