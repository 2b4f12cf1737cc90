"""A device without a keyboard, and the person who connects it (RFC 8628)."""

from typing import Any
from urllib.parse import urlencode

import httpx

from authsvc.oauth.capabilities import DEVICE_CODE
from tests.browser import Browser, Page
from tests.provider import Account, Provider, TestClient


async def create_device_client(provider: Provider, **metadata: Any) -> TestClient:
    """Create a client that can be used on devices only: public, without redirect URIs."""
    members = {
        "client_name": "Living room TV",
        "grant_types": [DEVICE_CODE, "refresh_token"],
        "response_types": [],
        "redirect_uris": None,
        "token_endpoint_auth_method": "none",
        **metadata,
    }
    return await provider.create_client(**members)


async def ask(provider: Provider, client: TestClient, **parameters: Any) -> httpx.Response:
    """``POST /device_authorization`` as the client does it; None leaves a parameter out."""
    wanted = {"scope": "openid offline_access", **parameters}
    if client.secret is None:
        wanted.setdefault("client_id", client.client_id)
    return await provider.http.post(
        "/device_authorization",
        content=urlencode({k: v for k, v in wanted.items() if v is not None}, doseq=True),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        auth=client.auth or httpx.USE_CLIENT_DEFAULT,
    )


async def start(provider: Provider, client: TestClient, **parameters: Any) -> dict[str, Any]:
    """Let the device ask, and return its codes."""
    response = await ask(provider, client, **parameters)
    assert response.status_code == 200, response.text
    codes: dict[str, Any] = response.json()
    return codes


async def poll(
    provider: Provider, client: TestClient, codes: dict[str, Any], **parameters: Any
) -> httpx.Response:
    """Let the device ask for its tokens."""
    wanted = {"grant_type": DEVICE_CODE, "device_code": codes["device_code"], **parameters}
    return await provider.token(client, **wanted)


async def enter(browser: Browser, user_code: str, account: Account | None = None) -> Page:
    """Type a code into the page, and sign in where that is asked; return what comes then."""
    page = await browser.get("/device")
    page = await browser.submit(page, {"user_code": user_code}, button="#device-submit")
    if account is not None and page.has("input[name=password]"):
        values = {"username": account.username, "password": account.password}
        page = await browser.submit(page, values, button="#login-submit")
    return page


async def approve(
    provider: Provider, codes: dict[str, Any], account: Account, browser: Browser | None = None
) -> Page:
    """Connect the device as its person does."""
    browser = browser or provider.browser()
    page = await enter(browser, codes["user_code"], account)
    assert page.has("#device-approve"), page.alert
    page = await browser.submit(page, {}, button="#device-approve")
    assert page.status == 200, page.alert
    return page


async def connect(
    provider: Provider, client: TestClient, account: Account, **parameters: Any
) -> dict[str, Any]:
    """Go the whole way and return the token response."""
    codes = await start(provider, client, **parameters)
    await approve(provider, codes, account)
    response = await poll(provider, client, codes)
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens
