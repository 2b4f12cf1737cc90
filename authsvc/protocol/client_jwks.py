"""The public keys a client registers: a JWK Set that holds signature keys and no secret.

RFC 7517 §4 and §5, RFC 7518 §6, RFC 7591 §2, RFC 8037 §2. Whether a point is on its
curve is left to Authlib's validator, which imports the keys.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Final

from authsvc.protocol.errors import InvalidClientMetadata
from authsvc.protocol.text import is_plain_text

MAX_KEYS: Final = 20

_SECRET_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_KEY_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_CURVES: Final = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
_ALGORITHM: Final = re.compile(r"(?:ES|RS|PS)(?:256|384|512)|EdDSA|Ed25519")
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_\-]{1,1400}")
_MAX_KID: Final = 256
# RFC 7518 §3.3 asks for 2048 bits; a far longer modulus is work for the server.
_RSA_BITS: Final = range(2048, 8193)
# 65537 has 4 characters; a long exponent makes each verification slow.
_MAX_EXPONENT: Final = 6


def parse_client_jwks(value: object) -> dict[str, list[dict[str, object]]]:
    """Return a client's JWK Set with the members that verify signatures, and no other.

    Raises InvalidClientMetadata for a private or symmetric key, for a kind of key that
    verifies nothing here, and for two keys with one ``kid``.
    """
    keys = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise InvalidClientMetadata("jwks must be a JWK Set of 1 to 20 keys")
    parsed = [_parse_key(key) for key in keys]
    kids = [key["kid"] for key in parsed if "kid" in key]
    if len(set(kids)) != len(kids):
        raise InvalidClientMetadata("jwks must not hold two keys with one kid")
    return {"keys": parsed}


def _parse_key(key: object) -> dict[str, object]:
    if not isinstance(key, Mapping):
        raise InvalidClientMetadata("jwks must hold JSON Web Keys")
    if key.get("kty") == "oct" or any(name in key for name in _SECRET_MEMBERS):
        raise InvalidClientMetadata("jwks must hold public keys only")
    kty = key.get("kty")
    if not isinstance(kty, str) or kty not in _KEY_MEMBERS:
        raise InvalidClientMetadata("jwks must hold RSA, EC or OKP keys")
    parsed: dict[str, object] = {"kty": kty}
    for name in _KEY_MEMBERS[kty]:
        parsed[name] = _parse_key_member(kty, name, key.get(name))
    return parsed | _parse_purpose(key)


def _parse_key_member(kty: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidClientMetadata("jwks holds a key that is not complete")
    if name == "crv":
        if value not in _CURVES[kty]:
            raise InvalidClientMetadata("jwks holds a key on a curve that is not supported")
        return value
    if not _BASE64URL.fullmatch(value) or len(value) % 4 == 1:
        raise InvalidClientMetadata("jwks holds a key that is not base64url")
    if name == "n" and _bits(value) not in _RSA_BITS:
        raise InvalidClientMetadata("jwks must hold RSA keys of 2048 to 8192 bits")
    if name == "e" and len(value) > _MAX_EXPONENT:
        raise InvalidClientMetadata("jwks holds an RSA key with a large exponent")
    return value


def _parse_purpose(key: Mapping[str, object]) -> dict[str, object]:
    """Read ``kid``, ``alg``, ``use`` and ``key_ops`` (RFC 7517 §4.2 to §4.5)."""
    parsed: dict[str, object] = {}
    kid, alg = key.get("kid"), key.get("alg")
    if kid is not None:
        if not isinstance(kid, str) or not is_plain_text(kid, max_length=_MAX_KID):
            raise InvalidClientMetadata("jwks holds a kid that is not plain text")
        parsed["kid"] = kid
    if alg is not None:
        if not isinstance(alg, str) or not _ALGORITHM.fullmatch(alg):
            raise InvalidClientMetadata("jwks holds a key with an alg that is not supported")
        parsed["alg"] = alg
    if key.get("use") is not None:
        if key["use"] != "sig":
            raise InvalidClientMetadata("jwks must hold signature keys only: use is sig")
        parsed["use"] = "sig"
    if key.get("key_ops") is not None:
        if key["key_ops"] != ["verify"]:
            raise InvalidClientMetadata("jwks must hold signature keys only: key_ops is verify")
        parsed["key_ops"] = ["verify"]
    return parsed


def _bits(value: str) -> int:
    return int.from_bytes(urlsafe_b64decode(value + "=" * (-len(value) % 4))).bit_length()
