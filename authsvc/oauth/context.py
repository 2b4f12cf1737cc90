"""What a step may touch: one request to an endpoint that clients call."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from authsvc.oauth.clients import Client
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.parameters import Parameters
from authsvc.storage.audit import Origin
from authsvc.storage.database import Transaction


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request as it came in, its transaction, and the instant it is judged at.

    ``endpoint`` is the URL by which clients know where it came in. ``admit`` is told the
    client once it is authenticated, and may raise TooManyRequests.
    """

    server: AuthorizationServer
    tx: Transaction
    endpoint: str
    parameters: Parameters
    authorization: str | None
    origin: Origin
    now: datetime
    admit: Callable[[Client], None]

    def origin_of(self, client: Client) -> Origin:
        """Return the origin with the client as the one who acts."""
        return Origin(f"client:{client.client_id}", self.origin.address, self.origin.request_id)
