"""Changing clients: what the command line and the admin API do."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from authsvc.access.administration import CLIENTS_REGISTRY
from authsvc.clock import Clock
from authsvc.oauth.client_secrets import ClientSecrets, signs_with_secret, uses_secret
from authsvc.oauth.clients import Client, load_client, read_client, registration_response
from authsvc.oauth.sectors import SectorIdentifiers
from authsvc.protocol.client_metadata import ClientMetadata
from authsvc.protocol.errors import Conflict, InvalidRequest, NotFound
from authsvc.protocol.metadata_rules import parse_client_metadata
from authsvc.protocol.server_capabilities import ServerCapabilities
from authsvc.storage import clients as rows
from authsvc.storage.audit import AuditLog, Origin
from authsvc.storage.changes import Changes
from authsvc.storage.database import Database, Transaction
from authsvc.storage.identifiers import is_id
from authsvc.tokens.revocation import Revoker

_CLIENT_ID = re.compile(r"[\x21\x23-\x2b\x2d-\x39\x3b-\x5b\x5d-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class MetadataChange:
    """The metadata of a client, and what it is to become; checked."""

    before: ClientMetadata
    after: ClientMetadata

    @property
    def members(self) -> list[str]:
        """The names of the members that are different."""
        old, new = self.before.as_json(), self.after.as_json()
        return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


class ClientAdministration:
    """Creates and changes clients; what changes something works in the transaction given.

    Metadata is checked before: that may ask another host, for which no transaction waits.
    """

    def __init__(
        self,
        database: Database,
        capabilities: ServerCapabilities,
        loopback: bool,
        sectors: SectorIdentifiers,
        client_secrets: ClientSecrets,
        revoker: Revoker,
        changes: Changes,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._database = database
        self._capabilities = capabilities
        self._loopback = loopback
        self._sectors = sectors
        self._secrets = client_secrets
        self._revoker = revoker
        self._changes = changes
        self._audit = audit
        self._clock = clock

    async def check(self, raw: Mapping[str, Any], *, require_pkce: bool = True) -> ClientMetadata:
        """Return the metadata in ``raw``, ready to be registered.

        Raises InvalidClientMetadata or InvalidRedirectUri.
        """
        metadata = parse_client_metadata(
            raw,
            supported=self._capabilities,
            require_pkce=require_pkce,
            loopback=self._loopback,
        )
        await self._sectors.check(metadata)
        return metadata

    async def check_change(self, client_id: str, raw: Mapping[str, Any]) -> MetadataChange:
        """Return the change of the members in ``raw``; one that is null is removed.

        Raises NotFound and what ``check`` raises.
        """
        async with self._database.reading() as tx:
            before = (await self.get(tx, client_id)).metadata
        merged = {**before.as_json(), **raw}
        after = await self.check(
            {name: value for name, value in merged.items() if value is not None}
        )
        return MetadataChange(before, after)

    async def create(
        self,
        tx: Transaction,
        metadata: ClientMetadata,
        origin: Origin,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        registration_token_hash: bytes | None = None,
    ) -> dict[str, Any]:
        """Register a client and return the response of RFC 7591 §3.2.1.

        It holds ``client_secret``, this once, when the client uses one. With the hash of a
        registration access token it is a client that registered itself. Raises
        InvalidClientMetadata, InvalidRequest or Conflict.
        """
        client_id = client_id or f"c_{secrets.token_urlsafe(18)}"
        check_client_id(client_id)
        now = self._clock.now()
        await rows.create_client(
            tx,
            client_id,
            metadata.as_json(),
            now=now,
            registration_token_hash=registration_token_hash,
        )
        secret = await self._secrets.issue(tx, client_id, metadata, client_secret)
        # Memory need not be dropped: a client that was not there is in nobody's. So nobody
        # who registers clients makes every process read all of them anew.
        await self._record(tx, "client.created", origin, client_id)
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
        self, tx: Transaction, client_id: str, change: MetadataChange, origin: Origin
    ) -> dict[str, Any]:
        """Change the metadata and return the registration response.

        A client that needs a secret now and has none gets one. Raises NotFound, or Conflict
        when the metadata is not what it was when the change was checked.
        """
        await rows.lock_client(tx, client_id)
        client = await self.get(tx, client_id)
        if client.metadata != change.before:
            raise Conflict("The client was changed at the same time: try again")
        if change.after == change.before:
            return registration_response(client)
        now = self._clock.now()
        await rows.update_client(tx, client_id, change.after.as_json(), now=now)
        if change.after.sector != change.before.sector:
            # A refresh must not yield another sub (OpenID Connect Core §12.2).
            await self._revoker.revoke_client(tx, client_id)
        if not signs_with_secret(change.after):
            await rows.drop_sealed_secrets(tx, client_id)
        secret = None
        if not any(
            (row.expires_at is None or row.expires_at > now)
            and (row.secret_sealed is not None or not signs_with_secret(change.after))
            for row in client.secrets
        ):
            secret = await self._secrets.issue(tx, client_id, change.after, None)
        await self._changed(tx, "client.updated", origin, client_id, members=change.members)
        return registration_response(await self.get(tx, client_id), secret)

    async def rotate_secret(
        self, tx: Transaction, client_id: str, origin: Origin, *, overlap: timedelta
    ) -> dict[str, Any]:
        """Give the client a new secret; those before stay valid for ``overlap``.

        Returns the registration response with the new secret; raises NotFound, or
        InvalidRequest for a client that uses none.
        """
        client = await self.get(tx, client_id)
        if not uses_secret(client.metadata):
            raise InvalidRequest("This client does not authenticate with a secret")
        now = self._clock.now()
        await rows.expire_secrets(tx, client_id, at=now + overlap)
        secret = await self._secrets.issue(tx, client_id, client.metadata, None)
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

    async def _changed(
        self, tx: Transaction, event: str, origin: Origin, client_id: str, **details: Any
    ) -> None:
        await self._changes.bump(tx, CLIENTS_REGISTRY)
        await self._record(tx, event, origin, client_id, **details)

    async def _record(
        self, tx: Transaction, event: str, origin: Origin, client_id: str, **details: Any
    ) -> None:
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
