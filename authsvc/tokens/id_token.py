"""ID tokens (OpenID Connect Core §2)."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from authsvc.clock import timestamp
from authsvc.signing.jwt import InvalidJwt, sign, verify
from authsvc.signing.keyring import Keyring, SigningKey
from authsvc.tokens.access_token import Authentication

TYPE: Final = "JWT"
_HASHES: Final = {"EdDSA": "sha512"}


def mint_id_token(
    key: SigningKey,
    *,
    issuer: str,
    subject: str,
    client_id: str,
    authentication: Authentication,
    now: datetime,
    ttl: timedelta,
    access_token: str | None = None,
    code: str | None = None,
    state: str | None = None,
    nonce: str | None = None,
    session_id: str | None = None,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Return a signed ID token for the client.

    It is bound to what it comes along with by ``at_hash``, ``c_hash`` and ``s_hash``
    (§3.3.2.11, FAPI 1.0 Advanced §5.2.2.1). ``claims`` are about the person.
    """
    issued_at = timestamp(now)
    content: dict[str, Any] = {
        **(claims or {}),
        "iss": issuer,
        "sub": subject,
        "aud": client_id,
        "azp": client_id,
        "exp": issued_at + int(ttl.total_seconds()),
        "iat": issued_at,
        "auth_time": timestamp(authentication.auth_time),
        "acr": authentication.acr,
        "amr": list(authentication.amr),
    }
    bound = {"at_hash": access_token, "c_hash": code, "s_hash": state}
    content |= {
        name: left_half_hash(value, key.alg) for name, value in bound.items() if value is not None
    }
    if nonce is not None:
        content["nonce"] = nonce
    if session_id is not None:
        content["sid"] = session_id
    return sign(key, content, typ=TYPE)


def left_half_hash(value: str, alg: str) -> str:
    """Return the hash that binds ``value`` to a token signed with ``alg`` (§3.1.3.6).

    The hash of EdDSA with Ed25519 is SHA-512.
    """
    digest = hashlib.new(_HASHES.get(alg, "sha256"), value.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def parse_id_token_hint(text: str, keyring: Keyring, *, issuer: str) -> dict[str, Any] | None:
    """Return the claims of an ID token of ours, even an expired one, or None (§3.1.2.1).

    Signed userinfo looks much the same, but never expires (§5.3.2).
    """
    try:
        claims, _ = verify(text, keyring, typ=TYPE)
    except InvalidJwt:
        return None
    texts = ("sub", "aud")
    if claims.get("iss") != issuer or "exp" not in claims:
        return None
    if not all(isinstance(claims.get(n), str) for n in texts):
        return None
    return claims
