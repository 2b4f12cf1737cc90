"""Opaque values: 256 random bits outside, a keyed hash inside.

They need no slow hash: nobody guesses 256 bits. The key keeps a copy of the database
from being matched against values that leaked elsewhere.
"""

import hmac
import secrets
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authsvc.master_key import RootSecret

Purpose = Literal[
    "authorization code",
    "refresh token",
    "client secret",
    "client assertion",
    "session cookie",
    "login bucket",
    "idempotency key",
    "initial access token",
    "registration access token",
    "device code",
    "user code",
    "password reset token",
]
MAX_LENGTH = 512
"""Characters beyond which no opaque value of ours can be."""
_NONCE = bytes(12)


def new_opaque_value() -> str:
    """Return 256 random bits, base64url."""
    return secrets.token_urlsafe(32)


class OpaqueHash:
    """Hashes opaque values under a key for each purpose, so that none stands for another."""

    def __init__(self, root: RootSecret) -> None:
        self._root = root
        self._keys: dict[str, bytes] = {}

    def __call__(self, purpose: Purpose, value: str) -> bytes:
        """Return the 32-byte hash under which ``value`` is stored (HMAC-SHA256)."""
        key = self._keys.get(purpose)
        if key is None:
            key = self._keys[purpose] = self._root.derive(purpose)
        return hmac.digest(key, value.encode("utf-8", "surrogatepass"), "sha256")


def seal_successor(presented: str, successor: str) -> bytes:
    """Encrypt a refresh token's successor under a key that only the token itself yields.

    The database alone, even with the master key, does not reveal the successor. The nonce
    may be fixed: each token, and so each key, encrypts one value.
    """
    return AESGCM(_successor_key(presented)).encrypt(_NONCE, successor.encode(), None)


def open_successor(presented: str, sealed: bytes) -> str | None:
    """Return the successor sealed for the token, or None when it does not open."""
    try:
        return AESGCM(_successor_key(presented)).decrypt(_NONCE, sealed, None).decode()
    except (InvalidTag, ValueError):
        return None


def _successor_key(presented: str) -> bytes:
    return hmac.digest(presented.encode(), b"authsvc refresh token successor", "sha256")
