"""Sign-in that begins at the provider (OpenID Connect Core §4).

A person finds here the clients that they have allowed something, and that can begin a
sign-in themselves. Nobody else's: a list of all clients would tell who they are.
"""

from dataclasses import dataclass

from authsvc.oauth.consent import destination_of
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.redirect_uri import add_parameters
from authsvc.storage.consents import list_clients_of_user
from authsvc.storage.database import Transaction

_MOST = 50


@dataclass(frozen=True, slots=True)
class KnownApp:
    """A client and the URL that begins its sign-in with us; anybody can choose a name."""

    name: str
    host: str
    login_url: str


async def list_known_apps(
    server: AuthorizationServer, tx: Transaction, user_id: str
) -> list[KnownApp]:
    """Return the person's clients with an ``initiate_login_uri``, those allowed last first."""
    apps = []
    for client_id in await list_clients_of_user(tx, user_id, limit=_MOST):
        client = await server.clients.find(client_id)
        uri = client.metadata.initiate_login_uri if client else None
        if client is not None and uri is not None:
            apps.append(
                KnownApp(
                    client.name,
                    destination_of(uri),
                    add_parameters(uri, [("iss", server.issuer)]),
                )
            )
    return apps
