"""What answers of the protocol look like on the wire, and how a person reacts to pages."""

import re

import httpx

from tests.browser import Browser, Page
from tests.provider import Account

ODD_TEXTS = [
    "a b+c%20d&e=f#g?h/i",
    "\"'<>\\`{}|^~",
    "é ü ß 漢字 🙂 \u202e",
    "=&=&==",
    "%00%zz",
    " ",
    "+",
    "a" * 4_096,
]
"""Values that must come back to the client exactly as it sent them."""

_PUBLIC_TEXT = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")


def check_error(response: httpx.Response, status: int, code: str) -> None:
    """Hold an error to RFC 6749 §5.2: code and status, plain text, stored by nobody."""
    assert response.status_code == status, response.text
    content = response.json()
    assert content.keys() == {"error", "error_description"}
    assert content["error"] == code, content
    assert _PUBLIC_TEXT.fullmatch(content["error_description"])
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


def check_error_page(browser: Browser, page: Page, status: int, code: str) -> None:
    """Hold an error that is shown to a person: a page, no redirect, no code for the client."""
    assert page.status == status, page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert "location" not in page.headers
    assert browser.left_for is None
    assert page.alert
    assert f"<code>{code}</code>" in page.text


async def log_in(browser: Browser, page: Page, account: Account) -> Page:
    """Fill in the login form of ``page`` rightly."""
    values = {"username": account.username, "password": account.password}
    return await browser.submit(page, values, button="#login-submit")


async def approve(browser: Browser, page: Page) -> Page:
    """Press the button that allows."""
    return await browser.submit(page, {}, button="#consent-approve")
