"""What userinfo answers (OpenID Connect Core §5.3)."""

from typing import Any

from authsvc.clock import timestamp
from authsvc.oauth.bearer import check_access_token
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.claims import claims_for_scopes
from authsvc.protocol.errors import InsufficientScope, InvalidToken
from authsvc.protocol.scope import OPENID
from authsvc.storage.users import User


async def answer_userinfo(server: AuthorizationServer, access_token: str) -> dict[str, Any]:
    """Return the claims about the person that the access token's scope reaches.

    Raises InvalidToken, or InsufficientScope for a token without ``openid``.
    """
    living = await check_access_token(server, access_token)
    if server.issuer not in living.token.audience:
        raise InvalidToken("The access token is not for this resource", detail="audience")
    if living.user is None or OPENID not in living.token.scope:
        raise InsufficientScope("The access token has no scope openid")
    known = claims_of(living.user)
    return {"sub": living.user.id, **claims_for_scopes(living.token.scope, known)}


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
