"""Clients: what one is, and the registry of them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from authlib.oauth2.rfc6749 import ClientMixin

from authsvc.access.administration import CLIENTS_REGISTRY
from authsvc.clock import timestamp
from authsvc.oauth.capabilities import REFRESH_TOKEN
from authsvc.protocol.client_metadata import ClientMetadata, read_client_metadata
from authsvc.protocol.redirect_uri import match_redirect_uri
from authsvc.protocol.scope import OFFLINE_ACCESS, OPENID, SCOPE_CLAIMS
from authsvc.storage import clients as rows
from authsvc.storage.changes import Changes
from authsvc.storage.clients import ClientRow, SecretRow
from authsvc.storage.database import Database, Transaction
from authsvc.storage.registered_clients import save_client_use
from authsvc.storage.registry import Registry

_USE_IS_NOTED: Final = timedelta(days=1)
PERSONAL_SCOPES: Final = frozenset({OPENID, OFFLINE_ACCESS, *SCOPE_CLAIMS})
"""Scopes that make sense for a person alone, never for a client by itself."""


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):
    """A registered client. Answers Authlib's client contract."""

    client_id: str
    metadata: ClientMetadata
    secrets: tuple[SecretRow, ...]
    role_ids: tuple[str, ...]
    self_registered: bool
    registration_token_hash: bytes | None = field(repr=False)
    created_at: datetime
    updated_at: datetime
    used_at: datetime | None

    @property
    def is_public(self) -> bool:
        """Whether the client can not keep a secret (RFC 6749 §2.1)."""
        return self.metadata.token_endpoint_auth_method == "none"  # noqa: S105  # a method

    @property
    def name(self) -> str:
        """What people are shown."""
        return self.metadata.client_name or self.client_id

    @property
    def allowed_scopes(self) -> frozenset[str]:
        """The scopes the client may ask for; without any registered, those of OpenID Connect."""
        if self.metadata.scope:
            return frozenset(self.metadata.scope)
        offline = {OFFLINE_ACCESS} if self.check_grant_type(REFRESH_TOKEN) else set()
        return frozenset({OPENID, *SCOPE_CLAIMS, *offline})

    def remember_use(self, now: datetime) -> None:
        """Let ``used_at`` be what was just stored.

        The one member that changes in place: for the others the registry reads anew, and
        to forget every client because one was used would be too much.
        """
        object.__setattr__(self, "used_at", now)

    def get_client_id(self) -> str:
        """Return the identifier."""
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """Return the redirect URI that need not be named: the only one there is."""
        uris = self.metadata.redirect_uris
        return uris[0] if len(uris) == 1 else None

    def get_allowed_scope(self, scope: str) -> str:
        """Return the part of ``scope`` that the client may ask for."""
        return " ".join(value for value in scope.split() if value in self.allowed_scopes)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Tell whether the redirect URI is registered (RFC 9700 §4.1.3)."""
        return match_redirect_uri(
            redirect_uri,
            self.metadata.redirect_uris,
            application_type=self.metadata.application_type,
        )

    def check_client_secret(self, client_secret: str) -> bool:
        """Refuse: only hashes are here, compared in ``oauth.client_auth``."""
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Tell whether the client authenticates with ``method``, at any endpoint."""
        return self.metadata.token_endpoint_auth_method == method

    def check_response_type(self, response_type: str) -> bool:
        """Tell whether the client may use the response type."""
        return response_type in self.metadata.response_types

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client may use the grant."""
        return grant_type in self.metadata.grant_types


def read_client(row: ClientRow) -> Client:
    """Return the client that is stored in ``row``."""
    return Client(
        row.client_id,
        read_client_metadata(row.metadata),
        row.secrets,
        row.role_ids,
        row.self_registered,
        row.registration_token_hash,
        row.created_at,
        row.updated_at,
        row.used_at,
    )


async def load_client(tx: Transaction, client_id: str) -> Client | None:
    """Read the client from the database, or None."""
    row = await rows.find_client(tx, client_id)
    return None if row is None else read_client(row)


def open_client_registry(database: Database, changes: Changes) -> Registry[Client]:
    """Return the registry of clients, read from the database on demand."""
    return Registry(database, changes, CLIENTS_REGISTRY, load_client)


async def note_client_use(tx: Transaction, client: Client, now: datetime) -> None:
    """Note that a client which registered itself is in use, about once a day.

    To be called where something is issued to it: to authenticate alone is no use, or who
    registers clients by the thousand would keep them all.
    """
    if not client.self_registered:
        return
    if client.used_at is not None and now - client.used_at < _USE_IS_NOTED:
        return
    await save_client_use(tx, client.client_id, now=now, unless_since=now - _USE_IS_NOTED)

    async def remember() -> None:
        client.remember_use(now)

    tx.after_commit(remember)


def registration_response(client: Client, secret: str | None = None) -> dict[str, Any]:
    """Return the client as the JSON of RFC 7591 §3.2.1, with the secret if it is given."""
    response: dict[str, Any] = {
        "client_id": client.client_id,
        "client_id_issued_at": timestamp(client.created_at),
        **client.metadata.as_json(),
    }
    if secret is not None:
        response["client_secret"] = secret
        response["client_secret_expires_at"] = 0
    return response
