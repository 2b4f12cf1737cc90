"""The public part of a JSON Web Key: its members, its length, the key it stands for.

RFC 7517 §4, RFC 7518 §6.2.1 and §6.3.1, RFC 8037 §2.
"""

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

PUBLIC_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
}

_CLASSES: Final[Mapping[str, type[RSAKey | ECKey | OKPKey]]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}


def find_rsa_bits(jwk: Mapping[str, object]) -> int:
    """Return the length of the modulus ``n`` in bits; 0 where it is none."""
    modulus = jwk.get("n")
    if not isinstance(modulus, str):
        return 0
    try:
        decoded = urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))
    except ValueError:
        return 0
    return int.from_bytes(decoded).bit_length()


def import_public_key(jwk: Mapping[str, object]) -> RSAKey | ECKey | OKPKey:
    """Return the public key that ``jwk`` stands for; every other member is left out.

    Raises ValueError where there is none: a member that is missing or not base64url, an
    unknown curve, a point that is not on its curve.
    """
    kty = jwk.get("kty")
    if not isinstance(kty, str) or kty not in _CLASSES:
        raise ValueError("not a public key")
    members: dict[str, Any] = {"kty": kty}
    members |= {name: jwk[name] for name in PUBLIC_MEMBERS[kty] if name in jwk}
    try:
        return _CLASSES[kty].import_key(members)
    except (JoseError, KeyError, TypeError) as error:
        raise ValueError("not a public key") from error
