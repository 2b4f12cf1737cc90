"""What userinfo answers (OpenID Connect Core §5.3)."""

from dataclasses import dataclass
from typing import Any

import orjson

from authsvc.clock import timestamp
from authsvc.oauth.bearer import LivingToken, check_access_token
from authsvc.oauth.client_keys import find_encryption
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.claims import claims_for_scopes, select_claims
from authsvc.protocol.errors import InsufficientScope, InvalidToken
from authsvc.protocol.scope import OPENID
from authsvc.signing.jwt import sign
from authsvc.storage.users import User


@dataclass(frozen=True, slots=True)
class UserinfoResponse:
    """The answer: JSON, or a JWT where the client registered that (§5.3.2)."""

    content: bytes
    is_jwt: bool


async def answer_userinfo(server: AuthorizationServer, access_token: str) -> UserinfoResponse:
    """Return the claims about the person that the access token reaches.

    Raises InvalidToken, InsufficientScope for a token without ``openid``, or
    TemporarilyUnavailable when the client's key for encryption can not be had.
    """
    living = await check_access_token(server, access_token)
    if server.issuer not in living.token.audience:
        raise InvalidToken("The access token is not for this resource", detail="audience")
    if living.user is None or OPENID not in living.token.scope:
        raise InsufficientScope("The access token has no scope openid")
    known = claims_of(living.user)
    requested = living.token.claims.get("userinfo_claims", ())
    claims = {
        "sub": living.token.subject,
        **claims_for_scopes(living.token.scope, known),
        **select_claims(requested, known),
    }
    return await _protect(server, living, claims)


def claims_of(user: User) -> dict[str, object]:
    """Return every claim that is known about the person, by its OpenID Connect name."""
    claims: dict[str, object] = {
        "preferred_username": user.username,
        "updated_at": timestamp(user.updated_at),
        **user.claims,
    }
    if user.email is not None:
        claims["email"] = user.email
        claims["email_verified"] = user.email_verified
    return claims


async def _protect(
    server: AuthorizationServer, living: LivingToken, claims: dict[str, Any]
) -> UserinfoResponse:
    """Sign and then encrypt the claims, each if the client registered it."""
    encryption = await find_encryption(server, living.client, "userinfo")
    alg = living.client.metadata.userinfo_signed_response_alg
    content: bytes | str = orjson.dumps(claims)
    if alg is not None:
        keyring = await server.resources.keyring.get()
        addressed = {**claims, "iss": server.issuer, "aud": living.client.client_id}
        content = sign(keyring.active(alg), addressed, typ="JWT")
    if encryption is not None:
        content = encryption.encrypt(content, content_type="JWT" if alg else None)
    return UserinfoResponse(
        content.encode() if isinstance(content, str) else content,
        is_jwt=alg is not None or encryption is not None,
    )
