"""The keyring: every signing key in memory, and the JWKS made of it once."""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from authsvc.master_key import MasterKeys, SealError
from authsvc.protocol.errors import TemporarilyUnavailable
from authsvc.signing.algorithms import PrivateKey, PublicKey, parse_private_key
from authsvc.storage.database import Transaction
from authsvc.storage.signing_keys import KeyState, SigningKeyRow, load_signing_keys

PRIVATE_KEY_PURPOSE = "signing key"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that verifies, and signs while it is active.

    ``since`` is when it came into its state; ``is_sealed_anew`` says that the newest master
    key seals it.
    """

    kid: str
    alg: str
    state: KeyState
    private_key: PrivateKey
    public_key: PublicKey
    public_jwk: Mapping[str, Any]
    since: datetime
    is_sealed_anew: bool


class Keyring:
    """The keys at one moment; never changes, a new one takes its place."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._by_kid = {key.kid: key for key in keys}
        self._active = {key.alg: key for key in self._by_kid.values() if key.state == "active"}
        published = {"keys": [dict(key.public_jwk) for key in self._by_kid.values()]}
        self.jwks = orjson.dumps(published)
        self.jwks_etag = f'"{hashlib.sha256(self.jwks).hexdigest()[:32]}"'

    def __iter__(self) -> Iterator[SigningKey]:
        """Go through every key."""
        return iter(self._by_kid.values())

    def find(self, kid: str) -> SigningKey | None:
        """Return the key that may verify what was signed as ``kid``, or None."""
        return self._by_kid.get(kid)

    def active(self, alg: str) -> SigningKey:
        """Return the key that signs with ``alg``; raises TemporarilyUnavailable without one."""
        key = self._active.get(alg)
        if key is None:
            raise TemporarilyUnavailable(
                "There is no signing key for this algorithm", detail=alg, retry_after=60
            )
        return key

    @property
    def active_algorithms(self) -> list[str]:
        """The algorithms that sign."""
        return sorted(self._active)


async def load_keyring(tx: Transaction, master_keys: MasterKeys) -> Keyring:
    """Read and open every key that was not revoked.

    Raises TemporarilyUnavailable when a master key is missing: on a replica that was not
    given the new one yet.
    """
    rows = await load_signing_keys(tx)
    try:
        return await asyncio.to_thread(_open_keys, rows, master_keys)
    except SealError as error:
        raise TemporarilyUnavailable(
            "The signing keys can not be opened", detail=str(error), retry_after=60
        ) from error


def _open_keys(rows: Iterable[SigningKeyRow], master_keys: MasterKeys) -> Keyring:
    keys = []
    for row in rows:
        if row.state == "revoked":
            continue
        opened = master_keys.open(row.private_key_sealed, purpose=PRIVATE_KEY_PURPOSE)
        private_key = parse_private_key(opened)
        keys.append(
            SigningKey(
                row.kid,
                row.alg,
                row.state,
                private_key,
                private_key.public_key(),
                row.public_jwk,
                _since(row),
                master_keys.is_newest(row.private_key_sealed),
            )
        )
    return Keyring(keys)


def _since(row: SigningKeyRow) -> datetime:
    entered = {"active": row.activated_at, "retired": row.retired_at}.get(row.state)
    return entered or row.created_at
