"""A running provider for tests: the real app on a real database, reached over HTTP.

Only the clock is ours: real time plus an offset that a test moves.
"""

import base64
import hashlib
import itertools
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import orjson

from authsvc.app import create_app
from authsvc.clock import Clock
from authsvc.config import Settings
from authsvc.oauth.server import AuthorizationServer
from authsvc.resources import Resources
from authsvc.storage.audit import AuditEvent, Origin
from tests.browser import Browser

ORIGIN = Origin("test")
PASSWORD = "correct horse battery"
REDIRECT_URI = "https://app.example/callback"
SECRET = "a-client-secret-of-at-least-32-characters"
VERIFIER = "a-code-verifier-of-at-least-43-characters-as-rfc-7636-wants"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:43]
_numbers = itertools.count(1)


class MovableClock(Clock):
    """Real time, moved."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        """Return real time plus the offset."""
        return super().now() + self.offset

    def move(self, **by: float) -> None:
        """Move on, by ``seconds``, ``minutes``, ``days`` …"""
        self.offset += timedelta(**by)


@dataclass(frozen=True)
class Account:
    """A person made for a test."""

    id: str
    username: str
    password: str


@dataclass(frozen=True)
class TestClient:
    """A client made for a test, and how it authenticates."""

    __test__ = False  # pytest would take it for tests

    client_id: str
    secret: str | None
    metadata: Mapping[str, Any]

    @property
    def auth(self) -> httpx.BasicAuth | None:
        """Its credentials for client_secret_basic."""
        return httpx.BasicAuth(self.client_id, self.secret) if self.secret else None


@dataclass
class Provider:
    """The running app, and what a test does with it."""

    app: Any
    settings: Settings
    clock: MovableClock
    http: httpx.AsyncClient
    _browsers: list[Browser] = field(default_factory=list)

    @property
    def server(self) -> AuthorizationServer:
        """The authorization server inside."""
        server: AuthorizationServer = self.app.state.server
        return server

    @property
    def resources(self) -> Resources:
        """What it runs on."""
        return self.server.resources

    def browser(self) -> Browser:
        """Return a fresh browser."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        browser = Browser(httpx.AsyncClient(transport=transport, base_url=self.settings.issuer))
        self._browsers.append(browser)
        return browser

    async def create_user(
        self, *, roles: Sequence[str] = (), password: str = PASSWORD, **values: Any
    ) -> Account:
        """Create a person who holds ``roles``."""
        username = values.pop("username", f"person{next(_numbers)}")
        password_hash = await self.resources.people.hash_new_password(password, names=(username,))
        async with self.resources.database.transaction() as tx:
            user = await self.resources.people.create(
                tx, ORIGIN, username=username, password_hash=password_hash, **values
            )
            for role in roles:
                await self.resources.role_administration.assign(tx, role, "user", user.id, ORIGIN)
        return Account(user.id, username, password)

    async def create_role(self, name: str, *permissions: str, inherits: Sequence[str] = ()) -> None:
        """Create a role."""
        async with self.resources.database.transaction() as tx:
            await self.resources.role_administration.create(
                tx, name, ORIGIN, permissions=permissions, inherits=inherits
            )

    async def create_client(
        self, *, roles: Sequence[str] = (), client_id: str | None = None, **metadata: Any
    ) -> TestClient:
        """Create a client: by default one that may do all that a web app does."""
        members: dict[str, Any] = {
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "scope": "openid profile email offline_access api:read api:write",
            **metadata,
        }
        members = {name: value for name, value in members.items() if value is not None}
        method = members.get("token_endpoint_auth_method", "client_secret_basic")
        if method == "none":
            members["grant_types"] = [
                grant for grant in members["grant_types"] if grant != "client_credentials"
            ]
        secret = SECRET if method.startswith("client_secret") else None
        checked = await self.server.client_administration.check(members)
        async with self.resources.database.transaction() as tx:
            created = await self.server.client_administration.create(
                tx, checked, ORIGIN, client_id=client_id, client_secret=secret
            )
            for role in roles:
                await self.resources.role_administration.assign(
                    tx, role, "client", created["client_id"], ORIGIN
                )
        return TestClient(created["client_id"], secret, created)

    async def authorize(
        self, browser: Browser, client: TestClient, account: Account, **parameters: Any
    ) -> dict[str, str]:
        """Send ``browser`` through login and consent; return what the client is answered."""
        page = await browser.get("/authorize", self.authorization_parameters(client, **parameters))
        for _ in range(4):
            if browser.left_for is not None:
                return self.answer_in(browser.left_for)
            if page.has("input[name=password]"):
                page = await browser.submit(
                    page,
                    {"username": account.username, "password": account.password},
                    button="#login-submit",
                )
            elif page.has("#consent-approve"):
                page = await browser.submit(page, {}, button="#consent-approve")
            else:
                break
        raise AssertionError(f"no way on from {page.status} {page.url}: {page.alert}")

    def authorization_parameters(self, client: TestClient, **parameters: Any) -> dict[str, str]:
        """Return the parameters of an authorization request; None leaves one out."""
        wanted = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": REDIRECT_URI,
            "scope": "openid offline_access",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **parameters,
        }
        return {name: str(value) for name, value in wanted.items() if value is not None}

    @staticmethod
    def answer_in(location: str) -> dict[str, str]:
        """Return the parameters with which the client is answered."""
        query = parse_qs(urlsplit(location).query, strict_parsing=True)
        return {name: values[0] for name, values in query.items()}

    async def token(
        self, client: TestClient, *, authenticated: bool = True, **parameters: Any
    ) -> httpx.Response:
        """``POST /token`` with the client's credentials."""
        if client.secret is None:
            parameters.setdefault("client_id", client.client_id)
        return await self.http.post(
            "/token",
            content=urlencode({k: v for k, v in parameters.items() if v is not None}, doseq=True),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            auth=client.auth if authenticated and client.auth else httpx.USE_CLIENT_DEFAULT,
        )

    async def redeem(self, client: TestClient, code: str, **parameters: Any) -> httpx.Response:
        """Redeem a code."""
        wanted = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
            **parameters,
        }
        return await self.token(client, **wanted)

    async def sign_in(
        self,
        client: TestClient,
        account: Account,
        browser: Browser | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Go the whole way and return the token response."""
        answer = await self.authorize(browser or self.browser(), client, account, **parameters)
        response = await self.redeem(client, answer["code"])
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    async def refresh(
        self, client: TestClient, refresh_token: str, **parameters: Any
    ) -> httpx.Response:
        """Exchange a refresh token."""
        return await self.token(
            client, grant_type="refresh_token", refresh_token=refresh_token, **parameters
        )

    async def introspect(self, client: TestClient, token: str) -> dict[str, Any]:
        """Return what introspection says of a token."""
        response = await self.http.post(
            "/introspect", data={"token": token}, auth=client.auth or httpx.USE_CLIENT_DEFAULT
        )
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def revoke(self, client: TestClient, token: str) -> httpx.Response:
        """``POST /revoke`` with the client's credentials."""
        data = {"token": token}
        if client.secret is None:
            data["client_id"] = client.client_id
        return await self.http.post(
            "/revoke", data=data, auth=client.auth or httpx.USE_CLIENT_DEFAULT
        )

    async def userinfo(self, access_token: str) -> httpx.Response:
        """``GET /userinfo`` with an access token."""
        return await self.http.get("/userinfo", headers={"Authorization": f"Bearer {access_token}"})

    async def audit_events(self, event: str | None = None) -> list[AuditEvent]:
        """Return what was written to the audit log, newest first."""
        async with self.resources.database.reading() as tx:
            return await self.resources.audit.list(tx, before=None, limit=200, event=event)


def claims_of(jwt: str) -> dict[str, Any]:
    """Return the claims in a JWT, without looking at its signature."""
    return _decode(jwt.split(".")[1])


def header_of(jwt: str) -> dict[str, Any]:
    """Return the header of a JWT."""
    return _decode(jwt.partition(".")[0])


def random_verifier() -> tuple[str, str]:
    """Return a code verifier and its challenge."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _decode(part: str) -> dict[str, Any]:
    decoded: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


@asynccontextmanager
async def open_provider(settings: Settings) -> AsyncIterator[Provider]:
    """Start the app and stop it afterwards."""
    clock = MovableClock()
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app):
        # A test that harms a dependency asks at once.
        app.state.readiness.fresh_seconds = 0
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=settings.issuer) as http:
            provider = Provider(app, settings, clock, http)
            yield provider
            for browser in provider._browsers:
                await browser.close()
