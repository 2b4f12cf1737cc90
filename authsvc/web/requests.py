"""Reading requests: parameters, credentials, and who is asking."""

from starlette.requests import Request

from authsvc.bearer import read_bearer_token
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


def has_form(request: Request) -> bool:
    """Tell whether the body says that it is a form; a media type's case says nothing."""
    media_type = request.headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == FORM


async def form_parameters(request: Request) -> Parameters:
    """Return the parameters of a form body; raises InvalidRequest (RFC 6749 §5.2: 400)."""
    if not has_form(request):
        raise InvalidRequest(f"The body must be {FORM}")
    options = request.headers["content-type"].partition(";")[2]
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


async def bearer_token(request: Request) -> str:
    """Return the access token of the header, or of a form body (RFC 6750 §2.1, §2.2).

    Raises MissingToken, or InvalidTokenRequest when the form is malformed, or the token comes
    twice or in the query.
    """
    in_body = None
    if request.method == "POST" and has_form(request):
        try:
            form = await form_parameters(request)
            form.check_no_duplicates()
        except InvalidRequest as error:
            raise InvalidTokenRequest(error.description) from error
        in_body = form.get("access_token")
    if in_body is None:
        return read_bearer_token(request)
    if "authorization" in request.headers or "access_token" in request.query_params:
        raise InvalidTokenRequest("The access token is sent in more than one way")
    return in_body
