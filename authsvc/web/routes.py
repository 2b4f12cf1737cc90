"""Every route, with its limit: the map of the house."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from authsvc.oauth.server import AuthorizationServer
from authsvc.web import client_endpoints, health, registration
from authsvc.web.admin.openapi import openapi_document
from authsvc.web.admin.routes import admin_routes
from authsvc.web.authorize import AuthorizeEndpoints
from authsvc.web.client_logo import client_logo
from authsvc.web.device import DeviceEndpoints
from authsvc.web.discovery import Discovery
from authsvc.web.errors import json_response
from authsvc.web.login import LoginEndpoints
from authsvc.web.logout import LogoutEndpoints
from authsvc.web.password_reset import FORGOT_PATH, RESET_PATH, PasswordResetEndpoints
from authsvc.web.people import PeopleEdge
from authsvc.web.rate_limits import RateLimits
from authsvc.web.requests import server_of
from authsvc.web.session_management import SessionManagementEndpoint
from authsvc.web.start import StartEndpoint
from authsvc.web.userinfo import userinfo

Endpoint = Callable[[Request], Awaitable[Response]]

_STATIC = Path(__file__).parent / "static"
CORS_PATHS = ("/jwks", "/token", "/userinfo", "/revoke", "/register", "/device_authorization")
"""Endpoints that scripts in browsers may call; none of them looks at a cookie."""

_CHANGING = frozenset({"/authorize", "/authorize/resume", "/device/resume", "/logout"})
"""Pages whose GET changes something on the way: who only looks (HEAD) has no business there."""
_CORS_FOLDER = "/register/"


def current(endpoint: Endpoint) -> Endpoint:
    """Let the endpoint see what was changed elsewhere: clients, roles and keys.

    All that is asked of the database from here on shares the time budget of a request.
    """

    async def answer(request: Request) -> Response:
        resources = server_of(request).resources
        with resources.database.bounded():
            await resources.changes.ensure_current()
            return await endpoint(request)

    return answer


def build_routes(
    server: AuthorizationServer, edge: PeopleEdge, limits: RateLimits
) -> list[BaseRoute]:
    """Return the routes, under the path of the issuer."""
    base = server.resources.settings.base_path

    def route(
        path: str, methods: Sequence[str], endpoint: Endpoint, limit: str, *, page: bool = False
    ) -> Route:
        limited = limits.limit(limit)(current(endpoint))
        name = f"{'page' if page else 'api'}:{path}"
        routed = Route(base + path, limited, methods=list(methods), name=name)
        if path in _CHANGING and routed.methods is not None:
            routed.methods.discard("HEAD")
        return routed

    authorize, login = AuthorizeEndpoints(edge), LoginEndpoints(edge)
    logout, discovery = LogoutEndpoints(edge), Discovery(server)
    start, session_management = StartEndpoint(edge), SessionManagementEndpoint(edge)
    # The token endpoint first: routes are tried in this order.
    return [
        route("/token", ["POST"], client_endpoints.token, "token_address"),
        route(
            "/device_authorization",
            ["POST"],
            client_endpoints.device_authorization,
            "token_address",
        ),
        route("/introspect", ["POST"], client_endpoints.introspection, "introspect_address"),
        route("/revoke", ["POST"], client_endpoints.revocation, "revoke_address"),
        route("/userinfo", ["GET", "POST"], userinfo, "userinfo_address"),
        route("/jwks", ["GET"], discovery.jwks, "discovery_address"),
        *_registration_routes(server, route),
        *_discovery_routes(base, limits.limit("discovery_address")(current(discovery.metadata))),
        route("/authorize", ["GET", "POST"], authorize.authorize, "authorize_address", page=True),
        route("/authorize/resume", ["GET"], authorize.resume, "authorize_address", page=True),
        route("/consent", ["POST"], authorize.consent, "authorize_address", page=True),
        route("/login", ["GET"], login.show, "authorize_address", page=True),
        route("/login", ["POST"], login.sign_in, "login_address", page=True),
        *_password_routes(edge, route),
        *_device_routes(edge, route),
        route("/logout", ["GET", "POST"], logout.logout, "logout_address", page=True),
        route("/logout/confirm", ["POST"], logout.confirm, "logout_address", page=True),
        route("/session/check", ["GET"], session_management.check, "discovery_address"),
        route("/clients/{client_id:path}/logo", ["GET"], client_logo, "authorize_address"),
        route("/", ["GET"], start.start, "authorize_address", page=True),
        Mount(
            f"{base}/admin/v1",
            routes=admin_routes(server, wrap=lambda e: limits.limit("admin_address")(current(e))),
        ),
        Route(f"{base}/openapi.json", _openapi(server.issuer), methods=["GET"]),
        Mount(f"{base}/static", StaticFiles(directory=_STATIC), name="static"),
        Route("/healthz", health.healthz, methods=["GET"]),
        Route("/readyz", health.readyz, methods=["GET"]),
        Route("/metrics", health.metrics, methods=["GET"]),
    ]


def _registration_routes(
    server: AuthorizationServer, route: Callable[..., Route]
) -> list[BaseRoute]:
    """Return the routes of dynamic registration, none where it is off."""
    if server.resources.settings.registration == "off":
        return []
    client = "/register/{client_id}"
    return [
        route("/register", ["POST"], registration.register, "register_address"),
        route(client, ["GET"], registration.read, "register_address"),
        route(client, ["PUT"], registration.replace, "register_address"),
        route(client, ["DELETE"], registration.delete, "register_address"),
    ]


def _device_routes(edge: PeopleEdge, route: Callable[..., Route]) -> list[BaseRoute]:
    """Return the routes of the page where a person connects a device (RFC 8628 §3.3)."""
    device = DeviceEndpoints(edge)
    return [
        route("/device", ["GET"], device.show, "device_address", page=True),
        route("/device", ["POST"], device.enter, "device_address", page=True),
        route("/device/resume", ["GET"], device.resume, "device_address", page=True),
        route("/device/confirm", ["POST"], device.confirm, "device_address", page=True),
    ]


def _password_routes(edge: PeopleEdge, route: Callable[..., Route]) -> list[BaseRoute]:
    """Return the routes for a forgotten password, none where no mail is sent."""
    if edge.forgot_url is None:
        return []
    password = PasswordResetEndpoints(edge)
    limit = "password_address"
    return [
        route(FORGOT_PATH, ["GET"], password.show_forgot, limit, page=True),
        route(FORGOT_PATH, ["POST"], password.ask, limit, page=True),
        route(RESET_PATH, ["GET"], password.show_reset, limit, page=True),
        route(RESET_PATH, ["POST"], password.reset, limit, page=True),
    ]


def _openapi(issuer: str) -> Endpoint:
    """Return the endpoint that answers the admin API's description."""
    document = openapi_document(issuer)

    async def openapi(_request: Request) -> Response:
        return json_response(document)

    return openapi


def _discovery_routes(base: str, endpoint: Endpoint) -> list[BaseRoute]:
    """Return the well-known paths: OpenID appends to the issuer, RFC 8414 §3.1 inserts."""
    paths = {
        f"{base}/.well-known/openid-configuration",
        f"{base}/.well-known/oauth-authorization-server",
        f"/.well-known/oauth-authorization-server{base}",
        f"/.well-known/openid-configuration{base}",
    }
    return [Route(path, endpoint, methods=["GET"]) for path in sorted(paths)]


class CrossOrigin:
    """Lets scripts of any origin call the endpoints that look at no cookie (Fetch, CORS)."""

    def __init__(self, app: ASGIApp, issuer: str) -> None:
        base = urlsplit(issuer).path
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["WWW-Authenticate", "Retry-After", "X-Request-ID"],
        )
        self._paths = {base + path for path in CORS_PATHS}
        self._folder = base + _CORS_FOLDER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] == "http" and (
            scope["path"] in self._paths
            or scope["path"].startswith(self._folder)
            or "/.well-known/" in scope["path"]
        )
        await (self._open if is_open else self._app)(scope, receive, send)
