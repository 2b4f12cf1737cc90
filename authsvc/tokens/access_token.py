"""Access tokens: JWTs by RFC 9068."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from authsvc.clock import timestamp
from authsvc.protocol.errors import InvalidToken
from authsvc.signing.jwt import InvalidJwt, sign, verify
from authsvc.signing.keyring import Keyring, SigningKey
from authsvc.storage.identifiers import made_at, new_id
from authsvc.storage.revocations import Kind

TYPE = "at+jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """How and when the person behind a token signed in."""

    auth_time: datetime
    acr: str
    amr: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A verified access token of ours. Made by ``verify_access_token`` alone."""

    token_id: str
    kid: str
    subject: str
    client_id: str
    audience: tuple[str, ...]
    scope: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    family_id: str | None
    session_id: str | None
    claims: Mapping[str, Any]

    @property
    def of_person(self) -> bool:
        """Whether a person stands behind the token, not the client itself."""
        return self.family_id is not None

    def identities(self, user_id: str | None) -> list[tuple[Kind, str]]:
        """Return the names under which a revocation could hit this token.

        ``user_id`` is the person behind it, whom the subject may name only to one client.
        """
        named: list[tuple[Kind, str]] = [("token", self.token_id), ("client", self.client_id)]
        if self.family_id is not None:
            named.append(("family", self.family_id))
        if user_id is not None:
            named.append(("user", user_id))
        if self.session_id is not None:
            named.append(("session", self.session_id))
        return named


def mint_access_token(
    key: SigningKey,
    *,
    issuer: str,
    subject: str,
    client_id: str,
    audience: Sequence[str],
    scope: Sequence[str],
    roles: Sequence[str],
    permissions: Sequence[str],
    now: datetime,
    ttl: timedelta,
    authentication: Authentication | None = None,
    family_id: str | None = None,
    session_id: str | None = None,
    userinfo_claims: Sequence[str] = (),
) -> str:
    """Return a signed access token with the claims of RFC 9068 §2.2.

    ``userinfo_claims`` are the names of claims that userinfo is to answer besides those of
    the scope (OpenID Connect Core §5.5): the token carries them, so that no row has to.
    """
    issued_at = timestamp(now)
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": subject,
        "aud": audience[0] if len(audience) == 1 else list(audience),
        "exp": issued_at + int(ttl.total_seconds()),
        "iat": issued_at,
        "jti": new_id(now),
        "client_id": client_id,
        "scope": " ".join(scope),
        "roles": list(roles),
        "permissions": list(permissions),
    }
    if authentication is not None:
        claims["auth_time"] = timestamp(authentication.auth_time)
        claims["acr"] = authentication.acr
        claims["amr"] = list(authentication.amr)
    if family_id is not None:
        claims["family_id"] = family_id
    if session_id is not None:
        claims["sid"] = session_id
    if userinfo_claims:
        claims["userinfo_claims"] = list(userinfo_claims)
    return sign(key, claims, typ=TYPE)


def verify_access_token(
    text: str, keyring: Keyring, *, issuer: str, now: datetime, ttl: timedelta
) -> AccessToken:
    """Return the access token ``text`` if we issued it and it has not expired (RFC 9068 §4).

    ``ttl`` is today's setting: a token issued while it was longer ends no later, so that a
    revocation never has to outlive more than one setting. Whether the token was revoked,
    and whether it is for the caller, is for the caller to ask. Raises InvalidToken.
    """
    try:
        claims, key = verify(text, keyring, typ=TYPE)
    except InvalidJwt as error:
        raise InvalidToken("The access token is invalid", detail=str(error)) from error
    try:
        audience = claims["aud"]
        issued_at = made_at(claims["jti"])
        expires_at = min(datetime.fromtimestamp(claims["exp"], UTC), issued_at + ttl)
        token = AccessToken(
            token_id=claims["jti"],
            kid=key.kid,
            subject=claims["sub"],
            client_id=claims["client_id"],
            audience=(audience,) if isinstance(audience, str) else tuple(audience),
            scope=tuple(claims["scope"].split()),
            issued_at=issued_at,
            expires_at=expires_at,
            family_id=claims.get("family_id"),
            session_id=claims.get("sid"),
            claims=claims,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidToken("The access token is invalid", detail="claims") from error
    if claims.get("iss") != issuer:
        raise InvalidToken("The access token is invalid", detail="issuer")
    if expires_at <= now:
        raise InvalidToken("The access token has expired")
    return token
