"""Clients that register themselves, over HTTP."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from authsvc.oauth.initial_access_tokens import issue_initial_access_token
from tests.provider import ORIGIN, REDIRECT_URI, Provider, TestClient

WEB: Mapping[str, Any] = {"redirect_uris": [REDIRECT_URI], "client_name": "An app"}


def bearer(token: str | None) -> dict[str, str]:
    """Return the header with a token, or none."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def register(
    provider: Provider, metadata: Mapping[str, Any] = WEB, *, token: str | None = None
) -> httpx.Response:
    """``POST /register``."""
    url = f"{provider.settings.issuer}/register"
    return await provider.http.post(url, json=dict(metadata), headers=bearer(token))


async def registered(
    provider: Provider, metadata: Mapping[str, Any] = WEB, *, token: str | None = None
) -> dict[str, Any]:
    """Register a client and return the response."""
    response = await register(provider, metadata, token=token)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def manage(
    provider: Provider,
    method: str,
    client: Mapping[str, Any],
    content: Mapping[str, Any] | None = None,
) -> httpx.Response:
    """Send a request to the client's configuration endpoint, with its token."""
    return await provider.http.request(
        method,
        client["registration_client_uri"],
        json=content,
        headers=bearer(client["registration_access_token"]),
    )


def client_of(made: Mapping[str, Any]) -> TestClient:
    """Return the client behind a registration response."""
    return TestClient(made["client_id"], made.get("client_secret"), made)


async def initial_token(provider: Provider, *, uses: int | None = 1, seconds: float = 3_600) -> str:
    """Return a new initial access token."""
    async with provider.resources.database.transaction() as tx:
        issued = await issue_initial_access_token(
            provider.server, tx, ORIGIN, uses=uses, ttl=timedelta(seconds=seconds)
        )
    return issued.token
