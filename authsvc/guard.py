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
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, Self

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authsvc.clock import Clock
from authsvc.protocol.errors import (
    InsufficientScope,
    InvalidToken,
    InvalidTokenRequest,
    MissingToken,
    OAuthError,
)
from authsvc.tokens.remote_token import RemoteTokens, RevocationCheck

Endpoint = Callable[[Request], Awaitable[Response]]

_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_TIMEOUT: Final = 5.0


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
        """Return who makes the request.

        Raises MissingToken, InvalidTokenRequest, InvalidToken, InsufficientScope or
        TemporarilyUnavailable.
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
    MissingToken, or InvalidTokenRequest for a header that is malformed or sent twice.
    """
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise InvalidTokenRequest("The Authorization header is sent more than once")
    scheme, _, credentials = headers[0].partition(" ") if headers else ("", "", "")
    if scheme.lower() != "bearer":
        raise MissingToken("An access token is needed")
    if "access_token" in request.query_params:
        raise InvalidTokenRequest("The access token is sent in more than one way")
    token = credentials.strip(" ")
    if not _B64TOKEN.fullmatch(token):
        raise InvalidTokenRequest("The Authorization header is malformed")
    return token


def bearer_challenge(error: OAuthError) -> str | None:
    """Return the ``WWW-Authenticate`` that goes with ``error``, or None (RFC 6750 §3)."""
    if isinstance(error, MissingToken):
        return 'Bearer realm="authsvc"'
    if isinstance(error, InvalidToken | InsufficientScope | InvalidTokenRequest):
        return (
            f'Bearer realm="authsvc", error="{error.error}", '
            f'error_description="{error.description}"'
        )
    return None


async def guard_error_response(_request: Request, error: Exception) -> Response:
    """Return the response of RFC 6750 §3 for what the guard raises."""
    assert isinstance(error, OAuthError)  # noqa: S101  # registered for this class alone
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    challenge = bearer_challenge(error)
    if challenge is not None:
        headers["WWW-Authenticate"] = challenge
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
        revocation: RevocationCheck = "introspection",
        redis_url: str | None = None,
        http: httpx.AsyncClient | None = None,
        leeway: timedelta = timedelta(seconds=10),
        clock: Clock | None = None,
    ) -> None:
        self._owns_http = http is None
        self._http = http or httpx.AsyncClient(timeout=_TIMEOUT)
        self._tokens = RemoteTokens(
            issuer,
            client_id=client_id,
            client_secret=client_secret,
            revocation=revocation,
            redis_url=redis_url,
            http=self._http,
            leeway=leeway,
            clock=clock or Clock(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close what was opened here; an HTTP client that was given stays open."""
        if self._owns_http:
            await self._http.aclose()
        await self._tokens.aclose()

    async def verify(self, token: str) -> Principal:
        """Return the principal of ``token``; raises InvalidToken or TemporarilyUnavailable."""
        found = await self._tokens.check(token)
        return Principal(
            subject=found.subject,
            client_id=found.client_id,
            audience=found.audience,
            scope=found.scope,
            roles=found.roles,
            permissions=found.permissions,
            expires_at=found.expires_at,
            claims=found.claims,
        )
