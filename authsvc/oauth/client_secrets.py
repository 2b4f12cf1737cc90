"""Client secrets: 256 random bits, stored as keyed hashes (RFC 6749 §2.3.1).

A client that signs with its secret (``client_secret_jwt``) needs it known: that one is kept
sealed under the master key as well.
"""

import re
from typing import Final

from authsvc.access.administration import CLIENTS_REGISTRY
from authsvc.clock import Clock
from authsvc.master_key import MasterKeys
from authsvc.protocol.client_metadata import ClientMetadata
from authsvc.protocol.errors import InvalidClientMetadata, InvalidRequest
from authsvc.storage import clients as rows
from authsvc.storage.changes import Changes
from authsvc.storage.database import Transaction
from authsvc.tokens.opaque import OpaqueHash, new_opaque_value

_PURPOSE: Final = "client secret"
_MIN, _MAX = 16, 256
# RFC 7518 §3.2: a key for HS256 has 256 bits at least.
_MIN_HMAC: Final = 32
_SECRET: Final = re.compile(r"[\x20-\x7e]+")


class ClientSecrets:
    """Issues and reseals secrets; each method works in the transaction given."""

    def __init__(
        self, opaque_hash: OpaqueHash, master_keys: MasterKeys, changes: Changes, clock: Clock
    ) -> None:
        self._hash = opaque_hash
        self._master_keys = master_keys
        self._changes = changes
        self._clock = clock

    async def issue(
        self, tx: Transaction, client_id: str, metadata: ClientMetadata, given: str | None
    ) -> str | None:
        """Give the client the secret ``given`` or a random one; None if it uses none.

        Raises InvalidClientMetadata or InvalidRequest.
        """
        if not uses_secret(metadata):
            if given is not None:
                raise InvalidClientMetadata(
                    "This token_endpoint_auth_method does not use a client secret"
                )
            return None
        least = _MIN_HMAC if signs_with_secret(metadata) else _MIN
        if given is not None and not (least <= len(given) <= _MAX and _SECRET.fullmatch(given)):
            # Secrets are stored with a fast hash, so they must be beyond guessing.
            raise InvalidRequest(
                f"A client secret has {least} to {_MAX} ASCII characters, chosen at random"
            )
        secret = given or new_opaque_value()
        sealed = None
        if signs_with_secret(metadata):
            sealed = self._master_keys.seal(secret.encode(), purpose=_PURPOSE)
        await rows.add_secret(
            tx,
            client_id,
            self._hash("client secret", secret),
            secret_sealed=sealed,
            now=self._clock.now(),
        )
        return secret

    async def reseal(self, tx: Transaction) -> int:
        """Seal the secrets that clients sign with under the newest master key; return how many."""
        resealed = 0
        for secret_id, sealed in await rows.list_sealed_secrets(tx):
            if not self._master_keys.is_newest(sealed):
                renewed = self._master_keys.seal(self.open(sealed), purpose=_PURPOSE)
                await rows.replace_sealed_secret(tx, secret_id, renewed)
                resealed += 1
        if resealed:
            await self._changes.bump(tx, CLIENTS_REGISTRY)
        return resealed

    def open(self, sealed: bytes) -> bytes:
        """Return the secret that a client signs with; raises SealError."""
        return self._master_keys.open(sealed, purpose=_PURPOSE)


def uses_secret(metadata: ClientMetadata) -> bool:
    """Tell whether the client authenticates with a secret."""
    return metadata.token_endpoint_auth_method.startswith("client_secret")


def signs_with_secret(metadata: ClientMetadata) -> bool:
    """Tell whether the client signs with its secret, and never sends it."""
    return metadata.token_endpoint_auth_method == "client_secret_jwt"  # noqa: S105  # a method
