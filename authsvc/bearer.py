"""Bearer tokens of a request (RFC 6750): who may come in, and what is said to who may not.

What a service needs of this is in ``authsvc.guard``, which brings an HTTP client along that a
serving process has no use for.
"""

import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from authsvc.protocol.errors import (
    InsufficientScope,
    InvalidToken,
    InvalidTokenRequest,
    MissingToken,
    OAuthError,
)

Endpoint = Callable[[Request], Awaitable[Response]]

_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


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
