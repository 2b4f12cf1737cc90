"""Reading requests: parameters, credentials, and who is asking."""

from starlette.requests import Request

from authsvc.guard import read_bearer_token
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.errors import (
    InvalidRequest,
    InvalidTokenRequest,
)
from authsvc.protocol.parameters import Parameters, parse_parameters
from authsvc.storage.audit import Origin

FORM = "application/x-www-form-urlencoded"


def server_of(request: Request) -> AuthorizationServer:
    """Return the authorization server that the app runs."""
    server: AuthorizationServer = request.app.state.server
    return server


def origin_of(request: Request, actor: str = "anonymous") -> Origin:
    """Return who does it and from where, for the audit log."""
    address = request.client.host if request.client else ""
    return Origin(actor, address, request.state.request_id)


def query_parameters(request: Request) -> Parameters:
    """Return the parameters of the query string; raises InvalidRequest."""
    return parse_parameters(request.scope["query_string"])


async def form_parameters(request: Request) -> Parameters:
    """Return the parameters of a form body; raises InvalidRequest (RFC 6749 §5.2: 400)."""
    content_type = request.headers.get("content-type", "")
    media_type, _, options = content_type.partition(";")
    if media_type.strip().lower() != FORM:
        raise InvalidRequest(f"The body must be {FORM}")
    charset = options.strip().lower().removeprefix("charset=").strip('"')
    if charset not in ("", "utf-8"):
        raise InvalidRequest("The body must be UTF-8")
    return parse_parameters(await request.body())


def authorization_header(request: Request) -> str | None:
    """Return the Authorization header; raises InvalidRequest when there are two."""
    values = request.headers.getlist("authorization")
    if len(values) > 1:
        raise InvalidRequest("The Authorization header is sent more than once")
    return values[0] if values else None


def bearer_token(request: Request, form: Parameters | None = None) -> str:
    """Return the access token of the header, or of a form body (RFC 6750 §2.1, §2.2).

    Raises MissingToken, or InvalidTokenRequest when it comes twice or in the query.
    """
    in_body = None
    if form is not None:
        form.check_no_duplicates()
        in_body = form.get("access_token")
    if in_body is None:
        return read_bearer_token(request)
    if "authorization" in request.headers:
        raise InvalidTokenRequest("The access token is sent in more than one way")
    return in_body
