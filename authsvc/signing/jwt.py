"""Making and verifying JWTs (RFC 7519) by the advice of RFC 8725.

A verifier names the key, and with it the one algorithm: nothing is taken from the
token but the ``kid`` to look up. Times are checked by the callers against our clock.
"""

import binascii
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from jwt import PyJWK, PyJWKError, PyJWS
from jwt.exceptions import InvalidAlgorithmError, InvalidSignatureError, PyJWTError

from authsvc.signing.keyring import Keyring, SigningKey
from authsvc.tracing import span

MAX_LENGTH = 16_384
"""Characters beyond which a JWT is not even looked at."""

T = TypeVar("T")
_WORDS: Mapping[type[Exception], str] = {
    InvalidSignatureError: "the key did not make it",
    InvalidAlgorithmError: "another algorithm",
}

_jws = PyJWS()


class InvalidJwt(Exception):
    """The JWT is malformed, or its signature is not that of the key."""


def sign(key: SigningKey, claims: Mapping[str, Any], *, typ: str) -> str:
    """Return ``claims`` signed by ``key`` as a compact JWT of type ``typ``."""
    with span("sign"):
        return _jws.encode(
            orjson.dumps(claims),
            key.private_key,
            algorithm=key.alg,
            headers={"typ": typ, "kid": key.kid},
        )


def verify(text: str, keyring: Keyring, *, typ: str) -> tuple[dict[str, Any], SigningKey]:
    """Return the claims of a JWT of ours of the type ``typ``, and the key; raises InvalidJwt."""
    header = parse_unverified_header(text)
    if str(header.get("typ", "")).lower().removeprefix("application/") != typ.lower():
        raise InvalidJwt("another type")
    kid = header.get("kid")
    key = keyring.find(kid) if isinstance(kid, str) else None
    if key is None:
        raise InvalidJwt("unknown kid")
    return _verified_claims(text, key.public_key, key.alg), key


def verify_with_jwk(text: str, jwk: Mapping[str, Any], alg: str) -> dict[str, Any]:
    """Return the claims of a JWT signed by the public ``jwk`` with ``alg``; raises InvalidJwt."""
    try:
        key = PyJWK(dict(jwk), algorithm=alg)
    except (PyJWKError, PyJWTError, ValueError, TypeError) as error:
        raise InvalidJwt("a key that does not fit") from error
    return _verified_claims(text, key.key, alg)


def verify_with_secret(text: str, secret: bytes) -> dict[str, Any]:
    """Return the claims of a JWT whose HS256 is made with ``secret``; raises InvalidJwt."""
    return _verified_claims(text, secret, "HS256")


def parse_unsecured_claims(text: str) -> dict[str, Any]:
    """Return the claims of a JWT with ``alg`` none and an empty signature (RFC 7519 §6).

    Whoever asks for this has said that nobody needs to vouch for them; raises InvalidJwt.
    """
    if parse_unverified_header(text).get("alg") != "none" or not text.endswith("."):
        raise InvalidJwt("not unsecured")
    return parse_unverified_claims(text)


def parse_unverified_header(text: str) -> dict[str, Any]:
    """Return the header of a JWT, which nobody has vouched for; raises InvalidJwt.

    A header that demands an extension is refused: there is none here (RFC 7515 §4.1.11).
    """
    if len(text) > MAX_LENGTH:
        raise InvalidJwt("too long")
    header = _guarded(lambda: _jws.get_unverified_header(text))
    if "crit" in header or "b64" in header:
        raise InvalidJwt("critical extension")
    return header


def parse_unverified_claims(text: str) -> dict[str, Any]:
    """Return the claims of a JWT, which nobody has vouched for; raises InvalidJwt."""
    parse_unverified_header(text)
    decoded = _guarded(lambda: _jws.decode(text, options={"verify_signature": False}))
    return _parse_claims(decoded)


def _verified_claims(text: str, key: Any, alg: str) -> dict[str, Any]:
    parse_unverified_header(text)
    return _parse_claims(_guarded(lambda: _jws.decode(text, key, algorithms=[alg])))


def _parse_claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise InvalidJwt("not JSON") from error
    if not isinstance(claims, dict):
        raise InvalidJwt("not an object")
    return claims


def _guarded(decode: Callable[[], T]) -> T:
    try:
        return decode()
    except (PyJWTError, ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise InvalidJwt(_WORDS.get(type(error), "malformed")) from error
