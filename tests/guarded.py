"""A resource server for tests: a small app of somebody else's, behind the guard."""

from collections import Counter
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authsvc.guard import EXCEPTION_HANDLERS, Guard, RemoteVerifier
from authsvc.signing.keyring import SigningKey
from tests.provider import SECRET, Account, Provider, TestClient

ORDERS = "https://orders.example"


class Wire(httpx.AsyncBaseTransport):
    """Leads to the provider; counts requests, and can be cut or answer with something else."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.counted: Counter[str] = Counter()
        self.cut = False
        self.answers: dict[str, httpx.Response] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the provider does, unless told otherwise."""
        path = request.url.path
        self.counted[path] += 1
        if self.cut:
            raise httpx.ConnectError("cut")
        return self.answers.get(path) or await self._inner.handle_async_request(request)


class ResourceServer:
    """``GET /orders`` needs ``orders:read``; the client ``orders`` introspects for it."""

    def __init__(self, provider: Provider, **options: Any) -> None:
        self.provider = provider
        self.wire = Wire(provider.app)
        self.verifier = RemoteVerifier(
            provider.settings.issuer,
            client_id="orders",
            client_secret=SECRET,
            http=httpx.AsyncClient(transport=self.wire),
            clock=provider.clock,
            **options,
        )
        guard = Guard(self.verifier, audience=ORDERS)

        @guard.require("orders:read")
        async def orders(request: Request) -> Response:
            principal = request.state.principal
            return JSONResponse(
                {
                    "subject": principal.subject,
                    "client_id": principal.client_id,
                    "is_client": principal.is_client,
                    "roles": sorted(principal.roles),
                    "permissions": sorted(principal.permissions),
                }
            )

        app = Starlette(routes=[Route("/orders", orders)], exception_handlers=EXCEPTION_HANDLERS)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORDERS)

    async def get(self, token: str, **options: Any) -> httpx.Response:
        """``GET /orders`` with an access token."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self.http.get("/orders", headers=headers, **options)

    async def status(self, token: str) -> int:
        """Return the status of ``GET /orders`` with an access token."""
        return (await self.get(token)).status_code


async def prepare(provider: Provider) -> tuple[TestClient, Account, str]:
    """Make the client of the resource server, an app, a person, and an access token."""
    await provider.create_role("buyer", "orders:read", "other:read")
    await provider.create_client(client_id="orders", grant_types=["client_credentials"])
    client = await provider.create_client(client_id="app", resources=[ORDERS], roles=["buyer"])
    account = await provider.create_user(roles=["buyer"])
    tokens = await provider.sign_in(client, account, resource=ORDERS, scope="openid")
    return client, account, tokens["access_token"]


async def machine_token(provider: Provider, client: TestClient, **parameters: Any) -> str:
    """Return an access token for orders, of the client itself."""
    response = await provider.token(
        client, grant_type="client_credentials", **{"resource": ORDERS, **parameters}
    )
    assert response.status_code == 200, response.text
    token: str = response.json()["access_token"]
    return token


async def active_key(provider: Provider) -> SigningKey:
    """Return the key that signs access tokens."""
    return (await provider.resources.keyring.get()).active("ES256")
