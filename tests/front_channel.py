"""Answers of the authorization endpoint in every response mode, and JWTs looked into by hand."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from tests.browser import Browser, Page
from tests.provider import Account, Provider, TestClient

EVERY_FLOW: dict[str, Any] = {"implicit_flow": True, "hybrid_flow": True}
"""The settings that turn on what is off by default."""

FRONT_CHANNEL: dict[str, Any] = {
    "grant_types": ["authorization_code", "implicit", "refresh_token"],
    "response_types": [
        "code",
        "id_token",
        "id_token token",
        "code id_token",
        "code token",
        "code id_token token",
    ],
}
"""The metadata of a client that registered every response type."""


def fragment_in(location: str | None) -> dict[str, str]:
    """Return the parameters in the fragment, each of which comes once; nothing is in the query."""
    assert location is not None
    parts = urlsplit(location)
    assert parts.query == ""
    fields = parse_qs(parts.fragment, strict_parsing=True)
    assert all(len(values) == 1 for values in fields.values())
    return {name: values[0] for name, values in fields.items()}


def half_hash(value: str, algorithm: str = "sha256") -> str:
    """Return what ``at_hash``, ``c_hash`` and ``s_hash`` hold (OpenID Connect Core §3.3.2.11)."""
    digest = hashlib.new(algorithm, value.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")


async def visit(
    provider: Provider, browser: Browser, client: TestClient, **parameters: Any
) -> Page:
    """Send the browser to the authorization endpoint; what is a dict is sent as JSON."""
    encoded = {
        name: orjson.dumps(value).decode() if isinstance(value, dict) else value
        for name, value in parameters.items()
    }
    return await browser.get("/authorize", provider.authorization_parameters(client, **encoded))


async def go_on(browser: Browser, page: Page, account: Account) -> Page:
    """Sign in and allow, as often as the pages ask."""
    for _ in range(4):
        if browser.left_for is not None:
            return page
        if page.has("#login-submit"):
            values = {"username": account.username, "password": account.password}
            page = await browser.submit(page, values, button="#login-submit")
        elif page.has("#consent-approve"):
            page = await browser.submit(page, {}, button="#consent-approve")
        else:
            break
    return page


async def answer_of(
    provider: Provider, client: TestClient, account: Account, **parameters: Any
) -> str:
    """Return the URI that a fresh browser is sent to after signing in and allowing."""
    browser = provider.browser()
    page = await go_on(browser, await visit(provider, browser, client, **parameters), account)
    assert browser.left_for is not None, page.text
    return browser.left_for


def query_in(provider: Provider, browser: Browser) -> dict[str, str]:
    """Return what the client was answered in the query."""
    assert browser.left_for is not None
    assert urlsplit(browser.left_for).fragment == ""
    return provider.answer_in(browser.left_for)
