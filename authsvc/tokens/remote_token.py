"""Access tokens as another service meets them: without our database, from what we publish.

RFC 9068 §4 for the token itself, RFC 7662 for what it is worth now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote_plus
from uuid import UUID

import httpx

from authsvc.clock import Clock
from authsvc.protocol.errors import InvalidToken, TemporarilyUnavailable
from authsvc.signing.jwt import InvalidJwt, parse_unverified_header, verify_with_jwk
from authsvc.signing.published_keys import PublishedKeys
from authsvc.storage.revocations import Kind
from authsvc.storage.shared_revocations import SharedRevocations

RevocationCheck = Literal["introspection", "redis", "none"]

_TYPES: Final = ("at+jwt", "application/at+jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteToken:
    """An access token of the issuer that is good now."""

    subject: str
    client_id: str
    audience: tuple[str, ...]
    scope: frozenset[str]
    roles: frozenset[str]
    permissions: frozenset[str]
    expires_at: datetime
    claims: Mapping[str, Any]


class RemoteTokens:
    """Checks the tokens of one issuer; ``authsvc.guard.RemoteVerifier`` says how to choose."""

    def __init__(
        self,
        issuer: str,
        *,
        client_id: str,
        client_secret: str,
        revocation: RevocationCheck,
        redis_url: str | None,
        http: httpx.AsyncClient,
        leeway: timedelta,
        clock: Clock,
    ) -> None:
        """Connect to nothing yet; raises ValueError for settings that do not go together."""
        if (revocation == "redis") != (redis_url is not None):
            raise ValueError("redis_url goes together with revocation='redis'")
        self._issuer = issuer
        # RFC 6749 §2.3.1: both are form-encoded before they are joined.
        self._credentials = httpx.BasicAuth(quote_plus(client_id), quote_plus(client_secret))
        self._revocation = revocation
        self._shared = SharedRevocations(redis_url) if redis_url is not None else None
        self._http = http
        self._keys = PublishedKeys(issuer, http)
        self._leeway = leeway
        self._clock = clock

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            await self._shared.aclose()

    async def check(self, text: str) -> RemoteToken:
        """Return the token ``text``; raises InvalidToken or TemporarilyUnavailable."""
        claims = await self._verify_signature(text)
        token = _read_token(claims)
        if claims.get("iss") != self._issuer:
            raise _invalid("issuer")
        if token.expires_at + self._leeway <= self._clock.now():
            raise InvalidToken("The access token has expired")
        if self._revocation == "none":
            return token
        if self._shared is not None:
            revoked = await self._shared.is_revoked(_identities(claims), _made_at_ms(claims))
            if revoked:
                raise InvalidToken("The access token was revoked")
            if revoked is False:
                return token
        return _read_token({**claims, **await self._introspect(text, claims)})

    async def _verify_signature(self, text: str) -> dict[str, Any]:
        try:
            header = parse_unverified_header(text)
            if str(header.get("typ")).lower() not in _TYPES:
                raise _invalid("type")
            kid = header.get("kid")
            jwk = await self._keys.find(kid) if isinstance(kid, str) else None
            if jwk is None or header.get("alg") != jwk["alg"]:
                raise _invalid("kid or alg")
            return verify_with_jwk(text, jwk, jwk["alg"])
        except InvalidJwt as error:
            raise _invalid(str(error)) from error

    async def _introspect(self, text: str, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the issuer says the token is worth now (RFC 7662 §2)."""
        endpoint = await self._keys.endpoint("introspection_endpoint")
        form = {"token": text, "token_type_hint": "access_token"}
        try:
            response = await self._http.post(endpoint, data=form, auth=self._credentials)
            answer = response.json() if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError) as error:
            raise _unavailable(type(error).__name__) from error
        if not isinstance(answer, dict) or not isinstance(answer.get("active"), bool):
            raise _unavailable(f"introspection answered {response.status_code}")
        if not answer["active"]:
            raise InvalidToken("The access token was revoked or has expired")
        if answer.get("jti") != claims.get("jti"):
            raise _unavailable("introspection answered for another token")
        return {
            "exp": answer.get("exp", claims["exp"]),
            "roles": answer.get("roles", []),
            "permissions": answer.get("permissions", []),
        }


def _read_token(claims: Mapping[str, Any]) -> RemoteToken:
    try:
        audience = claims["aud"]
        return RemoteToken(
            subject=claims["sub"],
            client_id=claims["client_id"],
            audience=(audience,) if isinstance(audience, str) else tuple(audience),
            scope=frozenset(claims["scope"].split()),
            roles=frozenset(claims["roles"]),
            permissions=frozenset(claims["permissions"]),
            expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            claims=claims,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise _invalid("claims") from error


def _identities(claims: Mapping[str, Any]) -> list[tuple[Kind, str]]:
    """Return the names under which a revocation could hit the token."""
    named: list[tuple[Kind, str]] = [("client", claims["client_id"])]
    named.append(("token", str(claims.get("jti"))))
    if "family_id" in claims:
        named += [("family", claims["family_id"]), ("user", claims["sub"])]
    if "sid" in claims:
        named.append(("session", claims["sid"]))
    return named


def _made_at_ms(claims: Mapping[str, Any]) -> int:
    try:
        # A UUIDv7 begins with the milliseconds at which it was made (RFC 9562 §5.7).
        return UUID(claims["jti"]).int >> 80
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _invalid("jti") from error


def _invalid(detail: str) -> InvalidToken:
    return InvalidToken("The access token is invalid", detail=detail)


def _unavailable(detail: str) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        "Access tokens can not be verified right now", detail=detail, retry_after=1
    )
