"""Keys of clients to which something is encrypted, and the way back by hand."""

from functools import cache
from typing import Any

import orjson
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.protocol.jwe_by_hand import PrivateKey, decrypt_by_hand, header_of

KEYS = {
    "RSA-OAEP": "RSA",
    "RSA-OAEP-256": "RSA",
    "ECDH-ES": "X25519",
    "ECDH-ES+A128KW": "P-256",
    "ECDH-ES+A256KW": "P-521",
}
"""A kind of key for each algorithm."""


@cache
def decryption_key(alg: str, number: int = 0) -> PrivateKey:
    """Return a private key for ``alg`` that is the same for the whole run."""
    kind = KEYS[alg]
    parameters: Any = {"use": "enc", "kid": f"{alg}-{number}"}
    if kind == "RSA":
        return RSAKey.generate_key(2048, parameters)
    if kind == "X25519":
        return OKPKey.generate_key("X25519", parameters)
    return ECKey.generate_key(kind, parameters)


def encryption_jwk(alg: str, number: int = 0) -> dict[str, Any]:
    """Return the public JWK of it."""
    jwk: dict[str, Any] = dict(decryption_key(alg, number).as_dict(private=False))
    return jwk


def opened(jwe: str, alg: str, number: int = 0, *, enc: str | None = None) -> str:
    """Return what was encrypted to the key; hold the header to ``alg`` and ``enc``."""
    header = header_of(jwe)
    assert header["alg"] == alg
    assert header["kid"] == f"{alg}-{number}"
    assert enc is None or header["enc"] == enc
    return decrypt_by_hand(jwe, decryption_key(alg, number)).decode()


def opened_json(jwe: str, alg: str, number: int = 0) -> dict[str, Any]:
    """Return the JSON object that was encrypted without a signature."""
    assert "cty" not in header_of(jwe)
    content: dict[str, Any] = orjson.loads(opened(jwe, alg, number))
    return content


def opened_jwt(jwe: str, alg: str, number: int = 0, *, enc: str | None = None) -> str:
    """Return the signed JWT that was encrypted (RFC 7519 §5.2)."""
    assert header_of(jwe)["cty"] == "JWT"
    return opened(jwe, alg, number, enc=enc)
