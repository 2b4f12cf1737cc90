"""What wraps requests and answers: hosts, redirects, headers, frames, methods, lengths."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.browser import Browser
from tests.conftest import Backend, OpenProvider
from tests.provider import Account, Provider, TestClient

EVIL = "evil.example"
HOSTS = {
    "Host": EVIL,
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Server": EVIL,
    "X-Forwarded-Prefix": f"//{EVIL}",
    "X-Original-URL": f"https://{EVIL}/",
    "X-Rewrite-URL": f"https://{EVIL}/",
    "Forwarded": f"for=192.0.2.1;host={EVIL};proto=https",
}
PATHS = (
    "/",
    "/token/",
    "/authorize/",
    "/login",
    "/login/",
    "/logout",
    "/logout/",
    "/static",
    "/static/",
    "/admin/v1",
    "/admin/v1/",
    "/admin/v1/users/",
    "/userinfo/",
    "/jwks",
    "/openapi.json",
    "/nowhere",
    "//evil.example/",
    "//evil.example/%2e%2e",
    "/\\evil.example",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration/",
)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_answer_holds_a_host_that_the_request_named(
    sqlite_provider: Provider, method: str
) -> None:
    for path in PATHS:
        for query in ("", "?x=y"):
            url = httpx.URL(f"{sqlite_provider.settings.issuer}{path}{query}")
            response = await sqlite_provider.http.request(method, url, headers=HOSTS)
            assert EVIL not in response.text, path
            location = response.headers.get("location", "/")
            assert urlsplit(location).netloc == "", (path, location)
            assert not location.startswith(("//", "/\\"))
            assert response.status_code < 500, path


async def test_the_issuer_is_the_setting_whatever_host_is_asked(sqlite_provider: Provider) -> None:
    response = await sqlite_provider.http.get("/.well-known/openid-configuration", headers=HOSTS)

    metadata = response.json()
    issuer = sqlite_provider.settings.issuer
    assert metadata["issuer"] == issuer
    endpoints = [value for name, value in metadata.items() if name.endswith(("endpoint", "_uri"))]
    assert len(endpoints) >= 7
    assert all(value.startswith(f"{issuer}/") for value in endpoints)


async def _pages(browser: Browser, provider: Provider, client: TestClient) -> list[httpx.Response]:
    account: Account = await provider.create_user()
    await provider.authorize(browser, client, account)
    await browser.get("/")
    await browser.get("/logout")
    await browser.get("/nowhere")
    await browser.get("/authorize")
    await browser.get(
        "/authorize", provider.authorization_parameters(client, response_mode="form_post")
    )
    return [r for r in browser.history if "text/html" in r.headers.get("content-type", "")]


async def test_no_page_may_be_framed_stored_or_run_foreign_scripts(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client()
    browser = sqlite_provider.browser()
    browser.http.headers["Accept"] = "text/html"

    pages = await _pages(browser, sqlite_provider, client)

    assert len(pages) >= 7
    for page in pages:
        policy = dict(
            directive.strip().partition(" ")[::2]
            for directive in page.headers["content-security-policy"].split(";")
        )
        assert policy["frame-ancestors"] == "'none'"
        assert policy["default-src"] == "'none'"
        assert policy["base-uri"] == "'none'"
        assert policy.get("script-src", "'self'") == "'self'"
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] in {"no-referrer", "same-origin", "origin"}


@pytest.mark.parametrize(
    "length", ["9" * 30, "9" * 5_000, "-1", "\u00b2", "1e9", "0x10", "", "+5", " 7", "65537"]
)
async def test_a_declared_length_breaks_nothing(sqlite_provider: Provider, length: str) -> None:
    headers = {
        b"Content-Type": b"application/x-www-form-urlencoded",
        b"Content-Length": length.encode("latin-1"),
    }
    response = await sqlite_provider.http.post("/token", content=b"a=b", headers=headers)

    assert response.status_code in {400, 401, 413}
    assert response.json()["error"] in {"invalid_request", "invalid_client"}


@pytest.mark.parametrize("path", ["/token", "/login", "/consent", "/userinfo", "/revoke"])
async def test_a_body_that_is_too_large_is_not_read(sqlite_provider: Provider, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 1
            yield b"a" * 10_000

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = await sqlite_provider.http.post(path, content=endless(), headers=headers)

    assert response.status_code == 413
    assert sent < 20


async def test_static_files_are_ours_alone(sqlite_provider: Provider) -> None:
    for path in (
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
        "/static/..%2fpages.py",
        "/static/%00",
        "/static/%ff",
        "/static//etc/passwd",
        "/static/" + "a" * 5_000,
        "/static/templates",
        "/static/..\\pages.py",
    ):
        response = await sqlite_provider.http.get(path)
        assert response.status_code == 404, path
        assert "import" not in response.text


async def test_behind_a_path_the_same_holds(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(
        sqlite_backend, issuer="http://127.0.0.1:8000/tenant/one"
    )
    for path in ("/tenant/one/login/", "/tenant/one/", "/tenant/one", "/tenant", "/login"):
        response = await provider.http.get(f"http://127.0.0.1:8000{path}", headers=HOSTS)
        assert EVIL not in response.text + response.headers.get("location", "")
        assert response.status_code in {200, 404}
