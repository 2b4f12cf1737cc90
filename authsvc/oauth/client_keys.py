"""The public keys of clients: those they registered, or those that their ``jwks_uri`` holds.

OpenID Connect Core §10.1.1 and §10.2.1: a client rotates its keys by publishing others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, TypeVar

import orjson

from authsvc.oauth.clients import Client
from authsvc.oauth.server import AuthorizationServer
from authsvc.outbound import OutboundError
from authsvc.protocol.client_jwks import read_client_jwks
from authsvc.protocol.encryption import encrypt, find_encryption_key
from authsvc.protocol.errors import (
    InvalidClientMetadata,
    OAuthError,
    TemporarilyUnavailable,
)
from authsvc.signing.algorithms import KEY_TYPES
from authsvc.signing.jwt import InvalidJwt, parse_unverified_header, verify_with_jwk

T = TypeVar("T")
Keys = Sequence[Mapping[str, object]]
_RETRY_AFTER = 30
_MAX_TRIES = 8
"""Keys with which one signature is tried: a set of many without ``kid`` costs no more."""
_HEURISTIC = timedelta(minutes=1)
"""Life of keys whose host names none: not to ask it for every token request."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """How one client wants one kind of answer encrypted."""

    jwk: Mapping[str, object]
    alg: str
    enc: str

    def encrypt(self, content: str | bytes, *, content_type: str | None) -> str:
        """Return ``content`` as a JWE; ``content_type`` is ``JWT`` for one that is signed.

        Raises TemporarilyUnavailable for a key that only looks like one.
        """
        data = content.encode() if isinstance(content, str) else content
        try:
            return encrypt(data, self.jwk, alg=self.alg, enc=self.enc, content_type=content_type)
        except ValueError as error:
            raise _unavailable("a key that does not encrypt") from error


async def find_encryption(
    server: AuthorizationServer, client: Client, what: Literal["id_token", "userinfo"]
) -> Encryption | None:
    """Return how the client wants ``what`` encrypted, or None where it does not.

    To be asked before anything is spent: raises TemporarilyUnavailable when the key can not
    be had, since plain text is nothing to fall back to.
    """
    alg = getattr(client.metadata, f"{what}_encrypted_response_alg")
    enc = getattr(client.metadata, f"{what}_encrypted_response_enc")
    if alg is None or enc is None:
        return None
    jwk = await _find(server, client, lambda keys: find_encryption_key(keys, alg))
    if jwk is None:
        raise _unavailable("no key to encrypt to")
    return Encryption(jwk, alg, enc)


async def verify_with_client_keys(
    server: AuthorizationServer, client: Client, jwt: str, alg: str
) -> dict[str, Any]:
    """Return the claims of a JWT that the client signed with ``alg``.

    Raises InvalidJwt, or TemporarilyUnavailable when its ``jwks_uri`` does not answer.
    """
    return _verified(await _find(server, client, lambda keys: _try(keys, jwt, alg)))


async def verify_with_keys_at(
    server: AuthorizationServer, jwks_uri: str, jwt: str, alg: str
) -> dict[str, Any]:
    """Return the claims of a JWT signed with ``alg`` by a key of the JWK Set at ``jwks_uri``.

    Raises InvalidJwt, or TemporarilyUnavailable when it does not answer.
    """
    return _verified(await _find_at(server, jwks_uri, lambda keys: _try(keys, jwt, alg)))


def _verified(claims: dict[str, Any] | None) -> dict[str, Any]:
    if claims is None:
        raise InvalidJwt("no key verifies it")
    return claims


def _try(keys: Keys, jwt: str, alg: str) -> dict[str, Any] | None:
    """Return the claims if one of the keys verifies them."""
    kid = parse_unverified_header(jwt).get("kid")
    fitting = (jwk for jwk in keys if _may_verify(jwk, alg, kid))
    for jwk in islice(fitting, _MAX_TRIES):
        try:
            return verify_with_jwk(jwt, jwk, alg)
        except InvalidJwt:
            continue
    return None


async def _find(
    server: AuthorizationServer, client: Client, look: Callable[[Keys], T | None]
) -> T | None:
    """Return what ``look`` finds in the client's keys."""
    metadata = client.metadata
    if metadata.jwks_uri is not None:
        return await _find_at(server, metadata.jwks_uri, look)
    return look(metadata.jwks["keys"] if metadata.jwks else ())


async def _find_at(
    server: AuthorizationServer, jwks_uri: str, look: Callable[[Keys], T | None]
) -> T | None:
    """Return what ``look`` finds in the keys that are known, or in those there are now."""
    for renew in (False, True):
        try:
            fetched = await server.resources.outbound.get(
                jwks_uri, renew=renew, heuristic=_HEURISTIC, lane="essential"
            )
            found = look(_parse(fetched))
        except OutboundError as error:
            if renew and error.outcome == "busy":
                # Asked too often already: what is not among the keys that are known is none.
                return None
            raise _unavailable(error.reason) from error
        except InvalidClientMetadata as error:
            if renew:
                raise _unavailable("no JWK Set") from error
            # What was fetched before may have been mended since.
            continue
        if found is not None:
            return found
    return None


@lru_cache(maxsize=256)
def _parse(fetched: bytes) -> Keys:
    """Return the keys of a JWK Set; each is imported, which is not done for every request."""
    try:
        return tuple(read_client_jwks(orjson.loads(fetched))["keys"])
    except orjson.JSONDecodeError as error:
        raise InvalidClientMetadata("jwks_uri does not hold JSON") from error


def _may_verify(jwk: Mapping[str, object], alg: str, kid: object) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("kty") == KEY_TYPES[alg]
        and jwk.get("alg", alg) == alg
        and jwk.get("use", "sig") == "sig"
        and (isinstance(operations, list) and "verify" in operations)
        and (kid is None or jwk.get("kid", kid) == kid)
    )


def _unavailable(detail: str) -> OAuthError:
    return TemporarilyUnavailable(
        "The keys of the client can not be read", detail=detail, retry_after=_RETRY_AFTER
    )
