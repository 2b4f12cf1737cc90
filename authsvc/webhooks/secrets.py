"""The secrets of webhooks: 32 random bytes, sealed under the master key."""

import base64
import secrets
from typing import Final

from authsvc.master_key import MasterKeys

_PREFIX: Final = "whsec_"
_BYTES: Final = 32
_PURPOSE: Final = "webhook secret"


def new_secret() -> bytes:
    """Return a random secret."""
    return secrets.token_bytes(_BYTES)


def show_secret(secret: bytes) -> str:
    """Return ``secret`` as receivers' libraries take it (Standard Webhooks, "Signature scheme")."""
    return _PREFIX + base64.b64encode(secret).decode()


def seal_secret(master_keys: MasterKeys, secret: bytes) -> bytes:
    """Return ``secret`` as it is stored."""
    return master_keys.seal(secret, purpose=_PURPOSE)


def open_secret(master_keys: MasterKeys, sealed: bytes) -> bytes:
    """Return the secret that was stored as ``sealed``; raises SealError."""
    return master_keys.open(sealed, purpose=_PURPOSE)
