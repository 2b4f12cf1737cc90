"""What other services import: verify our access tokens, require a permission (RFC 6750).

    verifier = RemoteVerifier(ISSUER, client_id="orders", client_secret=SECRET)
    guard = Guard(verifier, audience="https://orders.example")

    @guard.require("orders:read")
    async def orders(request: Request) -> Response:
        principal: Principal = request.state.principal
        ...

    app = Starlette(routes=[Route("/orders", orders)], exception_handlers=EXCEPTION_HANDLERS)

The guard raises; ``EXCEPTION_HANDLERS`` makes the responses of RFC 6750 §3. An app that
forgets them answers 500 and lets nobody in.
"""

import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol, Self
from urllib.parse import quote_plus
from uuid import UUID

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authsvc.clock import Clock
from authsvc.protocol.errors import (
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    OAuthError,
    TemporarilyUnavailable,
)
from authsvc.signing.jwt import InvalidJwt, parse_unverified_header, verify_with_jwk
from authsvc.signing.published_keys import PublishedKeys
from authsvc.storage.revocations import Kind
from authsvc.storage.shared_revocations import SharedRevocations

Endpoint = Callable[[Request], Awaitable[Response]]
Revocation = Literal["introspection", "redis", "none"]

_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_TIMEOUT: Final = 5.0
_TYPES: Final = ("at+jwt", "application/at+jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who makes a request: the subject of an access token, and what it may do."""

    subject: str
    client_id: str
    audience: tuple[str, ...]
    scope: frozenset[str]
    roles: frozenset[str]
    permissions: frozenset[str]
    expires_at: datetime
    claims: Mapping[str, Any]

    @property
    def is_client(self) -> bool:
        """Whether the client stands for itself, and no person behind it (RFC 9068 §2.2)."""
        return self.subject == self.client_id


class Verifier(Protocol):
    """Says who is behind an access token."""

    async def verify(self, token: str) -> Principal:
        """Return the principal of ``token``; raises InvalidToken or TemporarilyUnavailable."""


class Guard:
    """Lets those in who hold a permission in a token for ``audience``."""

    def __init__(self, verifier: Verifier, *, audience: str) -> None:
        self._verifier = verifier
        self._audience = audience

    def require(self, permission: str) -> Callable[[Endpoint], Endpoint]:
        """Return the decorator of endpoints that need ``permission``.

        The endpoint finds the principal in ``request.state.principal``. What is raised
        otherwise is that of ``check``.
        """

        def decorate(endpoint: Endpoint) -> Endpoint:
            @functools.wraps(endpoint)
            async def guarded(request: Request) -> Response:
                request.state.principal = await self.check(request, permission)
                return await endpoint(request)

            return guarded

        return decorate

    async def check(self, request: Request, permission: str) -> Principal:
        """Return who makes the request; raises MissingToken, InvalidRequest, InvalidToken,
        InsufficientScope or TemporarilyUnavailable.
        """
        principal = await self._verifier.verify(read_bearer_token(request))
        if self._audience not in principal.audience:
            raise InvalidToken("The access token is for another audience")
        if permission not in principal.permissions:
            raise InsufficientScope("The access token lacks the permission that is needed")
        return principal


def read_bearer_token(request: Request) -> str:
    """Return the token of the one ``Authorization`` header (RFC 6750 §2.1).

    A token in the body or the query counts for nothing: URLs end up in logs. Raises
    MissingToken, or InvalidRequest for a header that is malformed or sent twice.
    """
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise InvalidRequest("The Authorization header is sent more than once")
    scheme, _, credentials = headers[0].partition(" ") if headers else ("", "", "")
    if scheme.lower() != "bearer":
        raise MissingToken("An access token is needed")
    if "access_token" in request.query_params:
        raise InvalidRequest("The access token is sent in more than one way")
    token = credentials.strip(" ")
    if not _B64TOKEN.fullmatch(token):
        raise InvalidRequest("The Authorization header is malformed")
    return token


async def guard_error_response(_request: Request, error: Exception) -> Response:
    """Return the response of RFC 6750 §3 for what the guard raises."""
    assert isinstance(error, OAuthError)  # noqa: S101  # registered for this class alone
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MissingToken):
        headers["WWW-Authenticate"] = 'Bearer realm="authsvc"'
    elif isinstance(error, InvalidToken | InsufficientScope | InvalidRequest):
        headers["WWW-Authenticate"] = (
            f'Bearer realm="authsvc", error="{error.error}", '
            f'error_description="{error.description}"'
        )
    content = {"error": error.error, "error_description": error.description}
    return JSONResponse(content, status_code=error.status_code, headers=headers)


EXCEPTION_HANDLERS: Final[dict[Any, Any]] = {OAuthError: guard_error_response}
"""For ``Starlette(exception_handlers=…)``."""


class RemoteVerifier:
    """Verifies the access tokens of an authsvc that runs elsewhere.

    The signature, the issuer and the times are checked here. ``revocation`` says how it is
    found out whether the token was revoked:

    - ``introspection``: by asking the issuer each time (RFC 7662). Revoked tokens and roles
      that were taken away count no more at once.
    - ``redis``: from the revocation list that the issuer shares, at ``redis_url``; by
      introspection whenever that list can not tell. Roles are those of the token.
    - ``none``: not at all. A revoked token is good until it expires.

    When it can not be found out, TemporarilyUnavailable is raised: nothing is accepted on
    doubt. ``client_id`` and ``client_secret`` are those of a confidential client for
    introspection. ``leeway`` is the difference of clocks allowed.
    """

    def __init__(
        self,
        issuer: str,
        *,
        client_id: str,
        client_secret: str,
        revocation: Revocation = "introspection",
        redis_url: str | None = None,
        http: httpx.AsyncClient | None = None,
        leeway: timedelta = timedelta(seconds=10),
        clock: Clock | None = None,
    ) -> None:
        if (revocation == "redis") != (redis_url is not None):
            raise ValueError("redis_url goes together with revocation='redis'")
        self._issuer = issuer
        # RFC 6749 §2.3.1: both are form-encoded before they are joined.
        self._credentials = httpx.BasicAuth(quote_plus(client_id), quote_plus(client_secret))
        self._revocation = revocation
        self._shared = SharedRevocations(redis_url) if redis_url is not None else None
        self._own_http = httpx.AsyncClient(timeout=_TIMEOUT) if http is None else None
        self._http = http or httpx.AsyncClient(timeout=_TIMEOUT)
        self._keys = PublishedKeys(issuer, self._http)
        self._leeway = leeway
        self._clock = clock or Clock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close what was opened here; a client that was given stays open."""
        if self._own_http is not None:
            await self._own_http.aclose()
        if self._shared is not None:
            await self._shared.aclose()

    async def verify(self, token: str) -> Principal:
        """Return the principal of ``token``; raises InvalidToken or TemporarilyUnavailable."""
        claims = await self._verify_signature(token)
        principal = _read_principal(claims)
        if claims.get("iss") != self._issuer:
            raise _invalid("issuer")
        if principal.expires_at + self._leeway <= self._clock.now():
            raise InvalidToken("The access token has expired")
        if self._revocation == "none":
            return principal
        if self._shared is not None:
            revoked = await self._shared.is_revoked(_identities(claims), _made_at_ms(claims))
            if revoked:
                raise InvalidToken("The access token was revoked")
            if revoked is False:
                return principal
        return _read_principal({**claims, **await self._introspect(token, claims)})

    async def _verify_signature(self, token: str) -> dict[str, Any]:
        try:
            header = parse_unverified_header(token)
            if str(header.get("typ")).lower() not in _TYPES:
                raise _invalid("type")
            kid = header.get("kid")
            jwk = await self._keys.find(kid) if isinstance(kid, str) else None
            if jwk is None or header.get("alg") != jwk["alg"]:
                raise _invalid("kid or alg")
            return verify_with_jwk(token, jwk, jwk["alg"])
        except InvalidJwt as error:
            raise _invalid(str(error)) from error

    async def _introspect(self, token: str, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the issuer says the token is worth now (RFC 7662 §2)."""
        endpoint = await self._keys.endpoint("introspection_endpoint")
        form = {"token": token, "token_type_hint": "access_token"}
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


def _read_principal(claims: Mapping[str, Any]) -> Principal:
    try:
        audience = claims["aud"]
        principal = Principal(
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
    return principal


def _identities(claims: Mapping[str, Any]) -> list[tuple[Kind, str]]:
    """Return the names under which a revocation could hit the token."""
    named: list[tuple[Kind, str]] = [("token", claims["jti"]), ("client", claims["client_id"])]
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
