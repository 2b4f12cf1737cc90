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

from datetime import timedelta
from typing import Any, Final, Self

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authsvc.bearer import Guard, Principal, Verifier, bearer_challenge
from authsvc.clock import Clock
from authsvc.protocol.errors import OAuthError
from authsvc.tokens.remote_token import RemoteTokens, RevocationCheck

__all__ = ["EXCEPTION_HANDLERS", "Guard", "Principal", "RemoteVerifier", "Verifier"]

_TIMEOUT: Final = 5.0


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
