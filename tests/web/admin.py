"""An administrator for tests: a client that holds the permission, and its requests."""

from dataclasses import dataclass
from typing import Any

import httpx

from authsvc.web.admin.operations import PREFIX
from tests.provider import Provider, TestClient


@dataclass(frozen=True)
class Admin:
    """Calls the admin API with an access token."""

    provider: Provider
    token: str

    async def call(
        self, method: str, path: str, *, token: str | None = None, **options: Any
    ) -> httpx.Response:
        """Send a request; ``path`` is below the API's prefix and percent-encoded."""
        headers = {"Authorization": f"Bearer {token or self.token}", **options.pop("headers", {})}
        return await self.provider.http.request(
            method, f"{self.provider.settings.issuer}{PREFIX}{path}", headers=headers, **options
        )

    async def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a successful GET."""
        response = await self.call("GET", path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def create_user(self, username: str, **members: Any) -> Any:
        """Create a user and return it."""
        response = await self.call("POST", "/users", json={"username": username, **members})
        assert response.status_code == 201, response.text
        return response.json()

    async def pages(self, path: str, limit: int) -> list[list[Any]]:
        """Return the items of each page of a list."""
        pages, query = [], {"limit": str(limit)}
        while True:
            page = await self.get(path, **query)
            pages.append(page["items"])
            if page["next_cursor"] is None:
                return pages
            query["cursor"] = page["next_cursor"]


async def client_token(provider: Provider, client: TestClient) -> str:
    """Return an access token of the client for itself."""
    response = await provider.token(client, grant_type="client_credentials")
    assert response.status_code == 200, response.text
    token: str = response.json()["access_token"]
    return token


async def open_admin(provider: Provider) -> Admin:
    """Return an administrator who is a client."""
    await provider.create_role("admin", "authsvc:admin")
    client = await provider.create_client(client_id="the-admin", roles=["admin"])
    return Admin(provider, await client_token(provider, client))
