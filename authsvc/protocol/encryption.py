"""ID tokens and userinfo for the eyes of one client: JSON Web Encryption to its public key.

RFC 7516 §5.1, RFC 7518 §4 and §5, OpenID Connect Core §10.2 and §16.14.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry, encrypt_compact

from authsvc.protocol.public_jwk import find_rsa_bits, import_public_key

# RSA1_5 is left out for its padding oracles (RFC 8725 §3.2), and everything symmetric:
# a key that both sides hold says nothing about who can read.
KEY_ALGORITHMS: Final = (
    "RSA-OAEP",
    "RSA-OAEP-256",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A256KW",
)
CONTENT_ALGORITHMS: Final = ("A128CBC-HS256", "A128GCM", "A256GCM", "A256CBC-HS512")
# OpenID Connect Registration §2.
DEFAULT_ENC: Final = "A128CBC-HS256"
# What RFC 7517 §4.3 calls the operations of a key that something is encrypted to.
ENCRYPTION_OPERATIONS: Final = ("encrypt", "wrapKey", "deriveKey", "deriveBits")

# RFC 7518 §4.3 asks for 2048 bits.
_MIN_RSA_BITS: Final = 2048
_AGREEMENT_CURVES: Final = (("EC", "P-256"), ("EC", "P-384"), ("EC", "P-521"), ("OKP", "X25519"))
_REGISTRY: Final = JWERegistry(algorithms=(*KEY_ALGORITHMS, *CONTENT_ALGORITHMS))


def find_encryption_key(
    keys: Iterable[Mapping[str, object]], alg: str
) -> Mapping[str, object] | None:
    """Return the first of a client's JWKs that ``alg`` encrypts to, or None.

    None as well for an ``alg`` that is not in ``KEY_ALGORITHMS``. A JWK fits by its type,
    curve and length (RFC 7518 §4), and unless ``use``, ``key_ops`` or ``alg`` say that it
    is for something else (RFC 7517 §4.2 to §4.4).
    """
    return next((jwk for jwk in keys if _fits(jwk, alg)), None)


def encrypt(
    content: bytes, jwk: Mapping[str, object], *, alg: str, enc: str, content_type: str | None
) -> str:
    """Return ``content`` as a compact JWE that the holder of ``jwk``'s private key can read.

    ``content_type`` becomes ``cty``: ``JWT`` for a nested JWT, None for claims (RFC 7519
    §5.2). Nothing but public members of ``jwk`` is used, whatever else it holds. Raises
    ValueError for an algorithm that is not offered and for a key that does not fit ``alg``
    or can not be used (RFC 7516 §5.1).
    """
    if alg not in KEY_ALGORITHMS or enc not in CONTENT_ALGORITHMS:
        raise ValueError("an encryption algorithm that is not offered")
    if not _fits(jwk, alg):
        raise ValueError("a key that does not fit the encryption algorithm")
    header = {"alg": alg, "enc": enc}
    kid = jwk.get("kid")
    if isinstance(kid, str):
        header["kid"] = kid
    if content_type is not None:
        header["cty"] = content_type
    try:
        return encrypt_compact(header, content, import_public_key(jwk), registry=_REGISTRY)
    except JoseError as error:
        raise ValueError("a key that can not be encrypted to") from error


def _fits(jwk: Mapping[str, object], alg: str) -> bool:
    if alg not in KEY_ALGORITHMS or jwk.get("alg", alg) != alg or jwk.get("use", "enc") != "enc":
        return False
    operations = jwk.get("key_ops")
    if operations is not None and (
        not isinstance(operations, list)
        or not any(op in ENCRYPTION_OPERATIONS for op in operations)
    ):
        return False
    if alg.startswith("RSA"):
        return jwk.get("kty") == "RSA" and find_rsa_bits(jwk) >= _MIN_RSA_BITS
    return (jwk.get("kty"), jwk.get("crv")) in _AGREEMENT_CURVES
