"""Subjects: how a client knows a person (OpenID Connect Core §8).

A public subject is the person's identifier. A pairwise one is that identifier encrypted for
the client's sector: clients of two sectors can not tell that they know one person, and this
server, which alone has the key, needs to store nothing to read it back (§8.1).
"""

import base64
import binascii
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from authsvc.oauth.clients import Client
from authsvc.oauth.server import AuthorizationServer

_SEALED_BYTES = 32


def subject_of(server: AuthorizationServer, client: Client, user_id: str) -> str:
    """Return the ``sub`` by which the client knows the person; the same each time."""
    sector = client.metadata.sector
    if sector is None:
        return user_id
    sealed = _cipher(server).encrypt(UUID(user_id).bytes, [sector.encode()])
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def find_user_id(server: AuthorizationServer, client: Client, subject: str) -> str | None:
    """Return the identifier of the person whom the client knows as ``subject``, or None.

    None means that we never gave this client that subject; not that the person is there.
    """
    sector = client.metadata.sector
    if sector is None:
        return subject
    try:
        sealed = base64.urlsafe_b64decode(subject + "=" * (-len(subject) % 4))
        if len(sealed) != _SEALED_BYTES:
            return None
        return str(UUID(bytes=_cipher(server).decrypt(sealed, [sector.encode()])))
    except (InvalidTag, binascii.Error, ValueError):
        return None


def _cipher(server: AuthorizationServer) -> AESSIV:
    root = server.resources.root
    return AESSIV(root.derive("pairwise subject mac") + root.derive("pairwise subject"))
