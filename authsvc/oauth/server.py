"""The authorization server: the resources, and the clients that are known to it."""

from dataclasses import dataclass

from authsvc.oauth.client_administration import ClientAdministration
from authsvc.oauth.clients import Client, open_client_registry
from authsvc.resources import Resources
from authsvc.storage.registry import Registry


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """What every step of every endpoint may use."""

    resources: Resources
    clients: Registry[Client]
    client_administration: ClientAdministration

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.resources.settings.issuer


def open_authorization_server(resources: Resources) -> AuthorizationServer:
    """Return the authorization server on ``resources``."""
    return AuthorizationServer(
        resources,
        open_client_registry(resources.database, resources.changes),
        ClientAdministration(
            resources.opaque_hash,
            resources.revoker,
            resources.changes,
            resources.audit,
            resources.clock,
        ),
    )
