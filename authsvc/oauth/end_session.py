"""RP-Initiated Logout (OpenID Connect RP-Initiated Logout §2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authsvc.oauth.authorize import SignedInBrowser
from authsvc.oauth.clients import Client
from authsvc.oauth.logout_notices import find_frontchannel_logout_uris
from authsvc.oauth.server import AuthorizationServer
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

    def is_vouched_for(self, browser: SignedInBrowser | None) -> bool:
        """Whether the hint proves that the client means this very session.

        Then there is nothing to ask. Without that proof any page could sign people out, and
        with less, any client that a person has ever used.
        """
        return browser is not None and self.session_id == browser.session.id


async def read_logout_request(server: AuthorizationServer, parameters: Parameters) -> LogoutRequest:
    """Return the request; raises InvalidRequest, to be shown and never redirected (§4).

    The hint may have expired, its session ended, and its client gone. It is signed by us, and
    nothing else: an encrypted one only its client could read.
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
    if client_id is not None and client is None and hint is None:
        raise InvalidRequest("There is no client with this client_id")
    return LogoutRequest(client, _read_redirect(client, parameters), claims.get("sid"))


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
    """Return where to go then: nowhere for a client that is not known (§3)."""
    uri = parameters.get("post_logout_redirect_uri")
    if uri is None or client is None:
        return None
    if uri not in client.metadata.post_logout_redirect_uris:
        raise InvalidRequest("post_logout_redirect_uri is not registered for this client")
    state = parameters.get("state")
    return add_parameters(uri, [("state", state)]) if state is not None else uri
