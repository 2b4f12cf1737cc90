"""The authorization server: the resources, and the clients that are known to it."""

from dataclasses import dataclass

from authsvc.oauth.capabilities import capabilities_of
from authsvc.oauth.client_administration import ClientAdministration
from authsvc.oauth.client_secrets import ClientSecrets
from authsvc.oauth.clients import Client, open_client_registry
from authsvc.oauth.sectors import SectorIdentifiers
from authsvc.protocol.server_capabilities import ServerCapabilities
from authsvc.resources import Resources
from authsvc.storage.registry import Registry


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """What every step of every endpoint may use."""

    resources: Resources
    capabilities: ServerCapabilities
    clients: Registry[Client]
    client_administration: ClientAdministration
    client_secrets: ClientSecrets

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.resources.settings.issuer


def open_authorization_server(resources: Resources) -> AuthorizationServer:
    """Return the authorization server on ``resources``."""
    capabilities = capabilities_of(resources.settings)
    client_secrets = ClientSecrets(
        resources.opaque_hash, resources.master_keys, resources.changes, resources.clock
    )
    return AuthorizationServer(
        resources,
        capabilities,
        open_client_registry(resources.database, resources.changes),
        ClientAdministration(
            resources.database,
            capabilities,
            resources.settings.outbound_loopback,
            SectorIdentifiers(resources.outbound),
            client_secrets,
            resources.revoker,
            resources.changes,
            resources.audit,
            resources.clock,
        ),
        client_secrets,
    )
