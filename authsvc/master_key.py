"""The master key: seals what the database must hold but may not reveal.

Owns: AES-256-GCM under the newest of one or more master keys, and the derivation
of purpose-bound keys from a root secret. Does not own where the keys come from
(``config``) nor what is sealed.

A sealed value is ``key id (8) || nonce (12) || ciphertext and tag``. The key id is
a digest of the key, so that a value tells which master key opens it while the
keys are rotated. The purpose is authenticated, so that a value can not be moved
to another column and still open.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12


class SealError(ValueError):
    """A sealed value does not open: another master key, another purpose, or altered."""


class MasterKeys:
    """The master keys, newest first; the newest seals, each opens what it sealed."""

    def __init__(self, keys: list[bytes]) -> None:
        if not keys:
            raise ValueError("at least one master key is needed")
        for key in keys:
            if len(key) != KEY_BYTES:
                raise ValueError(f"a master key is {KEY_BYTES} bytes, base64url")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self.newest_id = _key_id(keys[0])

    def seal(self, plaintext: bytes, *, purpose: str) -> bytes:
        """Return ``plaintext`` encrypted under the newest key and bound to ``purpose``."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self.newest_id].encrypt(nonce, plaintext, purpose.encode())
        return self.newest_id + nonce + sealed

    def open(self, sealed: bytes, *, purpose: str) -> bytes:
        """Return the plaintext of ``sealed``; raises SealError when it does not open."""
        cipher = self._ciphers.get(sealed[:_ID_BYTES])
        if cipher is None:
            raise SealError("this is not the master key that the database was made with")
        nonce = sealed[_ID_BYTES : _ID_BYTES + _NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_ID_BYTES + _NONCE_BYTES :], purpose.encode())
        except (InvalidTag, ValueError) as error:
            raise SealError(f"this {purpose} was altered") from error

    def is_newest(self, sealed: bytes) -> bool:
        """Tell whether ``sealed`` is under the newest master key."""
        return sealed[:_ID_BYTES] == self.newest_id


def parse_master_keys(text: str) -> MasterKeys:
    """Read one or more base64url keys of 32 bytes, separated by commas or white space.

    Raises ValueError, without quoting the text, when one is not such a key.
    """
    keys = []
    for part in text.replace(",", " ").split():
        try:
            keys.append(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (binascii.Error, ValueError) as error:
            raise ValueError("a master key is 32 bytes, base64url") from error
    return MasterKeys(keys)


def read_or_create_master_key(path: Path) -> str:
    """Return the text of the key file at ``path``, made first where there is none.

    The file is created readable by its owner alone, and never overwritten: of two
    processes that start at once, one writes and the other reads.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    made = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode().rstrip("=")
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()


class RootSecret:
    """A random secret of the installation, sealed in the database, from which keys derive.

    It does not change when the master key is rotated, so the keyed hashes that are
    stored stay valid.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def derive(self, purpose: str) -> bytes:
        """Return the 32-byte key for ``purpose`` (HMAC-SHA256 as the PRF)."""
        return hmac.digest(self._secret, b"authsvc:" + purpose.encode(), "sha256")


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"authsvc master key id" + key).digest()[:_ID_BYTES]
