"""Browsers that come from an address of their own, and what they do at the login page."""

import httpx

from tests.browser import Browser, Page
from tests.provider import Provider


def visitor(
    provider: Provider, address: str = "192.0.2.1", *, headers: dict[str, str] | None = None
) -> Browser:
    """Return a fresh browser whose connections come from ``address``."""
    transport = httpx.ASGITransport(provider.app, raise_app_exceptions=False, client=(address, 1))
    http = httpx.AsyncClient(
        transport=transport, base_url=provider.settings.issuer, headers=headers
    )
    browser = Browser(http)
    provider._browsers.append(browser)
    return browser


async def attempt(browser: Browser, username: str, password: str) -> Page:
    """Fill in the login page and return what comes of it."""
    page = await browser.get("/login")
    values = {"username": username, "password": password}
    return await browser.submit(page, values, button="#login-submit")


async def attempts(browser: Browser, username: str, password: str, number: int) -> list[int]:
    """Fill in the login page ``number`` times and return the statuses."""
    return [(await attempt(browser, username, password)).status for _ in range(number)]


def is_signed_in(browser: Browser) -> bool:
    """Tell whether the browser holds a session's cookie."""
    return any(cookie.name.endswith("authsvc_session") for cookie in browser.http.cookies.jar)


def forget_session(browser: Browser) -> None:
    """Lose the session's cookie and keep the others, as when a session has ended."""
    for cookie in list(browser.http.cookies.jar):
        if cookie.name.endswith("authsvc_session"):
            browser.http.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
