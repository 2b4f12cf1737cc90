"""Errors as responses: the one place that turns one into the other.

A client gets the RFC's JSON; a person, on the endpoints that people visit, a page that
says what went wrong and what to do.
"""

from collections.abc import Awaitable, Callable

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from authsvc.bearer import bearer_challenge
from authsvc.metrics import ERRORS, route_of
from authsvc.protocol.errors import (
    InvalidClient,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    OAuthError,
)
from authsvc.web.pages import Pages
from authsvc.web.rate_limits import rate_limit_headers

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_REALM = "authsvc"
_NOT_A_METHOD = "The endpoint does not answer this method"
_NOT_A_PAGE = "This address is a step on the way, not a page to open by itself"
_TITLES = {
    404: "There is nothing here",
    429: "Too many requests",
    503: "Not available right now",
}


def json_response(
    content: object, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return ``content`` as JSON that nobody stores (RFC 6749 §5.1)."""
    return Response(
        orjson.dumps(content),
        status_code=status,
        media_type="application/json",
        headers={**NO_STORE, **(headers or {})},
    )


async def answer_oauth_error(request: Request, error: Exception) -> Response:
    """Return the response for an OAuthError; note it for the request's log line."""
    assert isinstance(error, OAuthError)  # noqa: S101  # registered for this class alone
    request.state.error = error
    ERRORS.labels(route_of(request.scope), error.error).inc()
    headers = rate_limit_headers(request)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if _is_for_a_person(request):
        return _error_page(request, error, headers)
    headers |= _challenge(error)
    content = {"error": error.error, "error_description": error.description}
    return json_response(content, status=error.status_code, headers=headers)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Return the response for what the router refuses: no such path or method."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class alone
    if error.status_code == 405:
        words = _NOT_A_PAGE if _is_for_a_person(request) else _NOT_A_METHOD
        response = await answer_oauth_error(request, MethodNotAllowed(words))
        response.headers["Allow"] = _allowed_methods(request, error)
        return response
    if error.status_code == 404:
        return await answer_oauth_error(request, NotFound("There is nothing here"))
    return await answer_oauth_error(request, InvalidRequest("The request is malformed"))


def _allowed_methods(request: Request, error: HTTPException) -> str:
    """Return the methods of the path, which may have a route for each (RFC 9110 §15.5.6)."""
    refusing = (error.headers or {}).get("Allow", "")
    routes = [r for r in request.app.routes if r.matches(request.scope)[0] is not Match.NONE]
    others = (", ".join(getattr(route, "methods", ())) for route in routes)
    named = ", ".join((refusing, *others)).split(", ")
    return ", ".join(sorted({method for method in named if method}))


ExceptionHandler = Callable[[Request, Exception], Awaitable[Response]]

EXCEPTION_HANDLERS: dict[type[Exception], ExceptionHandler] = {
    OAuthError: answer_oauth_error,
    HTTPException: answer_http_exception,
}


def _challenge(error: OAuthError) -> dict[str, str]:
    """Return the challenge of RFC 6750 §3, or of RFC 6749 §5.2 for a client."""
    if isinstance(error, InvalidClient):
        return {"WWW-Authenticate": f'Basic realm="{_REALM}", charset="UTF-8"'}
    challenge = bearer_challenge(error)
    return {} if challenge is None else {"WWW-Authenticate": challenge}


def _is_for_a_person(request: Request) -> bool:
    route = request.scope.get("route")
    if route is None:
        return "text/html" in request.headers.get("accept", "")
    return (getattr(route, "name", None) or "").startswith("page:")


def _error_page(request: Request, error: OAuthError, headers: dict[str, str]) -> Response:
    pages: Pages = request.app.state.pages
    # 401 asks a browser for HTTP credentials, which no page here takes.
    status = 400 if error.status_code == 401 else error.status_code
    return pages.render(
        "error.html",
        status=status,
        headers=headers,
        title=_TITLES.get(status, "This did not work"),
        message=f"{error.description}.",
        error=error.error,
        error_description=None,
        request_id=request.state.request_id,
    )
