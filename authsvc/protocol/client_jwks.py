"""The public keys of a client, to verify its signatures and to encrypt to, and no secret.

RFC 7517 §4 and §5, RFC 7518 §6, RFC 7591 §2, RFC 8037 §2. Whether a registered point is on
its curve is left to Authlib's validator, which imports the keys.
"""

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Final

from authsvc.protocol.encryption import (
    ENCRYPTION_OPERATIONS,
    KEY_ALGORITHMS,
    find_encryption_key,
)
from authsvc.protocol.errors import InvalidClientMetadata
from authsvc.protocol.public_jwk import PUBLIC_MEMBERS, find_rsa_bits, import_public_key
from authsvc.protocol.text import is_plain_text

MAX_KEYS: Final = 20
MAX_FETCHED_KEYS: Final = 100

_SECRET_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")
_CURVES: Final = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519", "X25519")}
# A curve of RFC 8037 is for one thing alone.
_USE_OF_CURVE: Final = {"Ed25519": "sig", "X25519": "enc"}
_SIGNATURE_ALGORITHM: Final = re.compile(r"(?:ES|RS|PS)(?:256|384|512)|EdDSA|Ed25519")
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_\-]{1,1400}")
_MAX_KID: Final = 256
# RFC 7518 §3.3 asks for 2048 bits; a far longer modulus is work for the server.
_RSA_BITS: Final = range(2048, 8193)
# 65537 has 4 characters; a long exponent makes each verification slow.
_MAX_EXPONENT: Final = 6


def parse_client_jwks(value: object) -> dict[str, list[dict[str, object]]]:
    """Return the JWK Set that a client registers, without what we have no use for.

    That is unknown members, and keys that neither verify nor encrypt anything here (RFC 7517
    §5). Raises InvalidClientMetadata for a private or symmetric key, for what is no JWK, for
    a set of which no key is left, and for a ``kid`` that names two keys of one type and use.
    """
    keys = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise InvalidClientMetadata("jwks must be a JWK Set of 1 to 20 keys")
    for key in keys:
        _parse_public(key)
    parsed: list[dict[str, object]] = []
    reason: InvalidClientMetadata | None = None
    for key in keys:
        try:
            parsed.append(_parse_key(key))
        except InvalidClientMetadata as error:
            reason = reason or error
    if reason is not None and not parsed:
        raise reason
    if any(_are_ambiguous(one, other) for one, other in combinations(parsed, 2)):
        raise InvalidClientMetadata("jwks must not hold two keys of one use with one kid")
    return {"keys": parsed}


def read_client_jwks(raw: object) -> dict[str, list[dict[str, object]]]:
    """Return the JWK Set ``raw`` that was fetched from a client's ``jwks_uri``.

    A key that ``parse_client_jwks`` would refuse, or that is not on its curve, is left out
    (RFC 7517 §5); so is what follows the first 100. Raises InvalidClientMetadata for what
    is no JWK Set.
    """
    keys = raw.get("keys") if isinstance(raw, Mapping) else None
    if not isinstance(keys, list):
        raise InvalidClientMetadata("jwks_uri must lead to a JWK Set")
    read = (_read_key(key) for key in keys[:MAX_FETCHED_KEYS])
    return {"keys": [key for key in read if key is not None]}


def _read_key(key: object) -> dict[str, object] | None:
    try:
        parsed = _parse_key(key)
        import_public_key(parsed)
    except (InvalidClientMetadata, ValueError):
        return None
    return parsed


def _parse_public(key: object) -> Mapping[str, object]:
    """Return ``key``, which is a JWK and shows no secret."""
    if not isinstance(key, Mapping):
        raise InvalidClientMetadata("jwks must hold JSON Web Keys")
    if key.get("kty") == "oct" or any(name in key for name in _SECRET_MEMBERS):
        raise InvalidClientMetadata("jwks must hold public keys only")
    return key


def _are_ambiguous(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Tell whether a ``kid`` leaves open which of two keys is meant (RFC 7517 §4.5).

    Keys of two types, or for two uses, are told apart by the algorithm.
    """
    return (
        one.get("kid") is not None
        and one.get("kid") == other.get("kid")
        and one["kty"] == other["kty"]
        and len(_find_uses(one) | _find_uses(other)) < 2
    )


def _parse_key(raw: object) -> dict[str, object]:
    key = _parse_public(raw)
    kty = key.get("kty")
    if not isinstance(kty, str) or kty not in PUBLIC_MEMBERS:
        raise InvalidClientMetadata("jwks must hold RSA, EC or OKP keys")
    parsed: dict[str, object] = {"kty": kty}
    for name in PUBLIC_MEMBERS[kty]:
        parsed[name] = _parse_key_member(kty, name, key.get(name))
    if kty == "RSA" and find_rsa_bits(parsed) not in _RSA_BITS:
        raise InvalidClientMetadata("jwks must hold RSA keys of 2048 to 8192 bits")
    parsed |= _parse_purpose(key)
    _check_purpose(parsed)
    return parsed


def _parse_key_member(kty: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidClientMetadata("jwks holds a key that is not complete")
    if name == "crv":
        if value not in _CURVES[kty]:
            raise InvalidClientMetadata("jwks holds a key on a curve that is not supported")
        return value
    if not _BASE64URL.fullmatch(value) or len(value) % 4 == 1:
        raise InvalidClientMetadata("jwks holds a key that is not base64url")
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
        if not isinstance(alg, str) or not _is_known_algorithm(alg):
            raise InvalidClientMetadata("jwks holds a key with an alg that is not supported")
        parsed["alg"] = alg
    use, operations = key.get("use"), key.get("key_ops")
    if use is not None:
        if use not in ("sig", "enc"):
            raise InvalidClientMetadata("jwks must hold keys whose use is sig or enc")
        parsed["use"] = use
    if operations is not None:
        if not isinstance(operations, list) or _use_of_operations(operations) is None:
            raise InvalidClientMetadata("jwks holds a key with key_ops that are not supported")
        parsed["key_ops"] = list(operations)
    return parsed


def _is_known_algorithm(alg: str) -> bool:
    return alg in KEY_ALGORITHMS or _SIGNATURE_ALGORITHM.fullmatch(alg) is not None


def _use_of_operations(operations: list[object]) -> str | None:
    """Tell which ``use`` goes with ``key_ops``, which name nothing twice (RFC 7517 §4.3)."""
    if operations == ["verify"]:
        return "sig"
    named = {op for op in operations if isinstance(op, str)}
    if not named or len(named) != len(operations) or not named.issubset(ENCRYPTION_OPERATIONS):
        return None
    return "enc"


def _check_purpose(key: Mapping[str, object]) -> None:
    """Refuse a key whose curve, ``alg``, ``use`` and ``key_ops`` leave nothing it is for."""
    if len(_find_uses(key)) > 1:
        raise InvalidClientMetadata("jwks holds a key that is good for nothing")
    alg = key.get("alg")
    if alg in KEY_ALGORITHMS and find_encryption_key([key], str(alg)) is None:
        raise InvalidClientMetadata("jwks holds a key that does not fit its alg")


def _find_uses(key: Mapping[str, object]) -> set[object]:
    """Return the uses that the members of a key name: none is both, and both are nothing."""
    uses = {key.get("use"), _USE_OF_CURVE.get(str(key.get("crv")))}
    operations, alg = key.get("key_ops"), key.get("alg")
    if isinstance(operations, list):
        uses.add(_use_of_operations(operations))
    if alg is not None:
        uses.add("enc" if alg in KEY_ALGORITHMS else "sig")
    return uses - {None}
