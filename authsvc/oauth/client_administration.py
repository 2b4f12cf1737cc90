"""Changing clients: what the command line and the admin API do."""

import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from authsvc.access.administration import CLIENTS_REGISTRY
from authsvc.clock import Clock
from authsvc.oauth.capabilities import CAPABILITIES
from authsvc.oauth.clients import Client, load_client, read_client, registration_response
from authsvc.protocol.client_metadata import ClientMetadata, parse_client_metadata
from authsvc.protocol.errors import InvalidClientMetadata, InvalidRequest, NotFound
from authsvc.storage import clients as rows
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.changes import Changes
from authsvc.storage.database import Transaction
from authsvc.storage.identifiers import is_id
from authsvc.tokens.opaque import OpaqueHash, new_opaque_value
from authsvc.tokens.revocation import Revoker

_CLIENT_ID = re.compile(r"[\x21\x23-\x2b\x2d-\x39\x3b-\x5b\x5d-\x7e]{1,200}")
_MIN_SECRET, _MAX_SECRET = 16, 256
_SECRET = re.compile(r"[\x20-\x7e]+")


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
        client = await load_client(tx, client_id)
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


def _uses_secret(metadata: ClientMetadata) -> bool:
    return metadata.token_endpoint_auth_method in ("client_secret_basic", "client_secret_post")
