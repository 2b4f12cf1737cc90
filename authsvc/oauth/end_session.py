"""RP-Initiated Logout (OpenID Connect RP-Initiated Logout §2)."""

from dataclasses import dataclass

from authsvc.oauth.authorize import SignedInBrowser
from authsvc.oauth.clients import Client
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import InvalidRequest
from authsvc.protocol.parameters import Parameters
from authsvc.protocol.redirect_uri import add_parameters
from authsvc.storage.audit import Origin
from authsvc.storage.database import Transaction
from authsvc.tokens.id_token import parse_id_token_hint


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A request to sign out: from which client, where to go then, and whether it is vouched."""

    client: Client | None
    redirect_to: str | None
    session_id: str | None
    subject: str | None

    def is_vouched_for(self, browser: SignedInBrowser | None) -> bool:
        """Whether the hint proves that the client means this very session.

        Then there is nothing to ask. Without that proof any page could sign people out.
        """
        if browser is None:
            return False
        if self.session_id is not None:
            return self.session_id == browser.session.id
        return self.subject == browser.session.user_id


async def read_logout_request(server: AuthorizationServer, parameters: Parameters) -> LogoutRequest:
    """Return the request; raises InvalidRequest, to be shown and never redirected."""
    parameters.check_no_duplicates()
    hint, client_id, claims = parameters.get("id_token_hint"), parameters.get("client_id"), {}
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
    return LogoutRequest(
        client, _read_redirect(client, parameters), claims.get("sid"), claims.get("sub")
    )


async def end_browser_session(
    server: AuthorizationServer,
    tx: Transaction,
    browser: SignedInBrowser,
    client: Client | None,
    origin: Origin,
) -> None:
    """Sign the browser out: its session ends, and the access tokens it got."""
    await server.resources.revoker.revoke_session(tx, browser.session.id)
    await server.resources.audit.record(
        tx,
        "session.ended",
        origin,
        now=server.resources.clock.now(),
        subject=browser.session.user_id,
        client_id=client.client_id if client else "",
        session=browser.session.id,
    )


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
