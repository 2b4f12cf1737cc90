"""Clients: what one is, the registry of them, and their administration."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from authlib.oauth2.rfc6749 import ClientMixin

from authsvc.access.administration import CLIENTS_REGISTRY
from authsvc.clock import Clock, timestamp
from authsvc.oauth.capabilities import CAPABILITIES, REFRESH_TOKEN
from authsvc.protocol.client_metadata import ClientMetadata, parse_client_metadata
from authsvc.protocol.errors import InvalidClientMetadata, InvalidRequest, NotFound
from authsvc.protocol.redirect_uri import match_redirect_uri
from authsvc.protocol.scope import OFFLINE_ACCESS, OPENID, SCOPE_CLAIMS
from authsvc.storage import clients as rows
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.changes import Changes
from authsvc.storage.clients import ClientRow, SecretRow
from authsvc.storage.database import Database, Transaction
from authsvc.storage.identifiers import is_id
from authsvc.storage.registry import Registry
from authsvc.tokens.opaque import OpaqueHash, new_opaque_value
from authsvc.tokens.revocation import Revoker

PERSONAL_SCOPES: Final = frozenset({OPENID, OFFLINE_ACCESS, *SCOPE_CLAIMS})
"""Scopes that make sense for a person alone, never for a client by itself."""

_CLIENT_ID = re.compile(r"[\x21\x23-\x2b\x2d-\x39\x3b-\x5b\x5d-\x7e]{1,200}")
_MIN_SECRET, _MAX_SECRET = 32, 256
_SECRET = re.compile(r"[\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):
    """A registered client. Answers Authlib's client contract."""

    client_id: str
    metadata: ClientMetadata
    secrets: tuple[SecretRow, ...]
    role_ids: tuple[str, ...]
    created_at: datetime
    updated_at: datetime

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
        return match_redirect_uri(redirect_uri, self.metadata.redirect_uris)

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
    metadata = parse_client_metadata(row.metadata, supported=CAPABILITIES)
    return Client(
        row.client_id, metadata, row.secrets, row.role_ids, row.created_at, row.updated_at
    )


async def _load_client(tx: Transaction, client_id: str) -> Client | None:
    row = await rows.find_client(tx, client_id)
    return None if row is None else read_client(row)


def open_client_registry(database: Database, changes: Changes) -> Registry[Client]:
    """Return the registry of clients, read from the database on demand."""
    return Registry(database, changes, CLIENTS_REGISTRY, _load_client)


class ClientAdministration:
    """Creates and changes clients; each method works in the transaction given."""

    def __init__(
        self,
        opaque_hash: OpaqueHash,
        revoker: Revoker,
        changes: Changes,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._hash = opaque_hash
        self._revoker = revoker
        self._changes = changes
        self._audit = audit
        self._clock = clock

    async def create(
        self,
        tx: Transaction,
        raw: Mapping[str, Any],
        origin: Origin,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
    ) -> dict[str, Any]:
        """Register a client and return the response of RFC 7591 §3.2.1.

        It holds ``client_secret``, this once, when the client uses one. Raises
        InvalidClientMetadata, InvalidRedirectUri, InvalidRequest or Conflict.
        """
        metadata = parse_client_metadata(raw, supported=CAPABILITIES)
        client_id = client_id or f"c_{secrets.token_urlsafe(18)}"
        check_client_id(client_id)
        now = self._clock.now()
        await rows.create_client(tx, client_id, metadata.as_json(), now=now)
        secret = await self._set_secret(tx, client_id, metadata, client_secret)
        await self._changed(tx, "client.created", origin, client_id)
        return registration_response(await self.get(tx, client_id), secret)

    async def get(self, tx: Transaction, client_id: str) -> Client:
        """Return the client; raises NotFound."""
        client = await _load_client(tx, client_id)
        if client is None:
            raise NotFound("There is no such client")
        return client

    async def list(self, tx: Transaction, *, after: str | None, limit: int) -> list[Client]:
        """Return up to ``limit`` clients by identifier, from the one after ``after`` on."""
        return [read_client(row) for row in await rows.list_clients(tx, after=after, limit=limit)]

    async def update(
        self, tx: Transaction, client_id: str, raw: Mapping[str, Any], origin: Origin
    ) -> dict[str, Any]:
        """Change members of the metadata; a member that is null is removed.

        Returns the registration response; raises NotFound and what ``create`` raises. A
        client that needs a secret now and has none gets one.
        """
        client = await self.get(tx, client_id)
        merged = {**client.metadata.as_json(), **raw}
        metadata = parse_client_metadata(
            {name: value for name, value in merged.items() if value is not None},
            supported=CAPABILITIES,
        )
        now = self._clock.now()
        await rows.update_client(tx, client_id, metadata.as_json(), now=now)
        secret = None
        if not any(row.expires_at is None or row.expires_at > now for row in client.secrets):
            secret = await self._set_secret(tx, client_id, metadata, None)
        await self._changed(tx, "client.updated", origin, client_id, members=sorted(raw))
        return registration_response(await self.get(tx, client_id), secret)

    async def rotate_secret(
        self, tx: Transaction, client_id: str, origin: Origin, *, overlap: timedelta
    ) -> dict[str, Any]:
        """Give the client a new secret; those before stay valid for ``overlap``.

        Returns the registration response with the new secret; raises NotFound, or
        InvalidRequest for a client that uses none.
        """
        client = await self.get(tx, client_id)
        if not _uses_secret(client.metadata):
            raise InvalidRequest("This client does not authenticate with a secret")
        now = self._clock.now()
        await rows.expire_secrets(tx, client_id, at=now + overlap)
        secret = await self._set_secret(tx, client_id, client.metadata, None)
        await self._changed(
            tx,
            "client.secret_rotated",
            origin,
            client_id,
            overlap_seconds=int(overlap.total_seconds()),
        )
        return registration_response(await self.get(tx, client_id), secret)

    async def delete(self, tx: Transaction, client_id: str, origin: Origin) -> None:
        """Delete the client and end all it was issued; raises NotFound."""
        await self._revoker.revoke_client(tx, client_id)
        await rows.delete_client(tx, client_id)
        await self._changed(tx, "client.deleted", origin, client_id)

    async def _set_secret(
        self, tx: Transaction, client_id: str, metadata: ClientMetadata, given: str | None
    ) -> str | None:
        if not _uses_secret(metadata):
            if given is not None:
                raise InvalidClientMetadata(
                    "This token_endpoint_auth_method does not use a client secret"
                )
            return None
        if given is not None and not (
            _MIN_SECRET <= len(given) <= _MAX_SECRET and _SECRET.fullmatch(given)
        ):
            # Secrets are stored with a fast hash, so they must be beyond guessing.
            raise InvalidRequest(
                f"A client secret has {_MIN_SECRET} to {_MAX_SECRET} ASCII characters, "
                "chosen at random"
            )
        secret = given or new_opaque_value()
        await rows.add_secret(
            tx, client_id, self._hash("client secret", secret), now=self._clock.now()
        )
        return secret

    async def _changed(
        self, tx: Transaction, event: str, origin: Origin, client_id: str, **details: Any
    ) -> None:
        await self._changes.bump(tx, CLIENTS_REGISTRY)
        await self._audit.record(
            tx,
            event,
            origin,
            now=self._clock.now(),
            subject=client_id,
            client_id=client_id,
            **details,
        )


def check_client_id(client_id: str) -> None:
    """Raise InvalidRequest when it can not be a client's identifier.

    No colon, which HTTP Basic ends a name at, and not the form of a user's identifier, so
    that no client passes for a person as ``sub`` (RFC 9700 §4.15).
    """
    if not _CLIENT_ID.fullmatch(client_id) or is_id(client_id):
        raise InvalidRequest(
            "A client_id has 1 to 200 ASCII characters, no colon or comma, and is not a UUID"
        )


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


def _uses_secret(metadata: ClientMetadata) -> bool:
    return metadata.token_endpoint_auth_method in ("client_secret_basic", "client_secret_post")
