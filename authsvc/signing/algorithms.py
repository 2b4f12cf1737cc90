"""The signature algorithms, and what differs between them (RFC 7518 §3, RFC 8037)."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import Algorithm, get_default_algorithms

ALGORITHMS: Final = ("ES256", "RS256", "PS256", "EdDSA")
KEY_TYPES: Final = {"ES256": "EC", "RS256": "RSA", "PS256": "RSA", "EdDSA": "OKP"}
"""The ``kty`` of a JWK that each algorithm needs (RFC 7518 §6.1, RFC 8037 §2)."""

_RSA_BITS: Final = 2048
_THUMBPRINT_MEMBERS: Final = {
    "EC": ("crv", "kty", "x", "y"),
    "RSA": ("e", "kty", "n"),
    "OKP": ("crv", "kty", "x"),
}
_IMPLEMENTATIONS: Final[Mapping[str, Algorithm]] = get_default_algorithms()

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


def generate_private_key(alg: str) -> PrivateKey:
    """Return a new private key for ``alg``; an RSA key takes a while, so not on the loop."""
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def serialize(key: PrivateKey) -> bytes:
    """Return the private key as PKCS #8 DER, to be sealed."""
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def parse_private_key(data: bytes) -> PrivateKey:
    """Read PKCS #8 DER that we have written ourselves."""
    key = serialization.load_der_private_key(
        data, password=None, unsafe_skip_rsa_key_validation=True
    )
    if not isinstance(key, PrivateKey):
        raise ValueError("not a key for any supported algorithm")
    return key


def public_jwk(key: PrivateKey, alg: str) -> dict[str, Any]:
    """Return the public JWK of ``key`` with its ``kid`` (RFC 7638), ``use`` and ``alg``."""
    members: dict[str, Any] = _IMPLEMENTATIONS[alg].to_jwk(key.public_key(), as_dict=True)
    members.pop("key_ops", None)
    # RS256 and PS256 may sign with one RSA key elsewhere; here each key has one algorithm.
    return {**members, "kid": thumbprint(members), "use": "sig", "alg": alg}


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the SHA-256 thumbprint of a public JWK (RFC 7638 §3); raises KeyError."""
    needed = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    digest = hashlib.sha256(orjson.dumps(needed, option=orjson.OPT_SORT_KEYS))
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


def check_key_fits(key: PrivateKey, alg: str) -> None:
    """Raise ValueError when ``key`` can not sign with ``alg``, or is too short (RFC 7518 §3)."""
    fits = {
        "ES256": isinstance(key, ec.EllipticCurvePrivateKey)
        and isinstance(key.curve, ec.SECP256R1),
        "EdDSA": isinstance(key, ed25519.Ed25519PrivateKey),
    }.get(alg, isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _RSA_BITS)
    if not fits:
        raise ValueError(f"the key does not fit {alg}")


def implementation(alg: str) -> Algorithm:
    """Return PyJWT's implementation of ``alg``."""
    return _IMPLEMENTATIONS[alg]
