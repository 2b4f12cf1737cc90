"""What is refused before any rule of OAuth is reached: paths, methods, bodies, nonsense."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.answers import check_error
from tests.provider import Provider

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
METHODS = {
    "/token": {"POST"},
    "/introspect": {"POST"},
    "/revoke": {"POST"},
    "/userinfo": {"GET", "HEAD", "POST"},
    "/jwks": {"GET", "HEAD"},
    "/.well-known/openid-configuration": {"GET", "HEAD"},
    "/.well-known/oauth-authorization-server": {"GET", "HEAD"},
    "/authorize": {"GET", "POST"},
    "/authorize/resume": {"GET"},
    "/consent": {"POST"},
    "/login": {"GET", "HEAD", "POST"},
    "/logout": {"GET", "POST"},
    "/logout/confirm": {"POST"},
    "/": {"GET", "HEAD"},
    "/healthz": {"GET", "HEAD"},
    "/readyz": {"GET", "HEAD"},
    "/metrics": {"GET", "HEAD"},
    "/openapi.json": {"GET", "HEAD"},
}
CLIENT_ENDPOINTS = ["/token", "/introspect", "/revoke"]
PAGES = ["/authorize", "/consent", "/login", "/logout", "/logout/confirm"]
BROKEN = [
    b"a=%",
    b"a=%4",
    b"a=%zz",
    b"a=%00",
    b"a=\x00",
    b"a=%ff",
    b"a=\xff\xfe",
    b"a=%c3%28",
    b"a=%ed%a0%80",
    b"a=\r\nb",
    b"a=%0d%0a",
    b"&".join(b"a%d=b" % number for number in range(200)),
]


@pytest.mark.parametrize("path", METHODS)
async def test_another_method_is_told_which_ones_there_are(
    sqlite_provider: Provider, path: str
) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} - METHODS[path]:
        response = await sqlite_provider.http.request(method, path)
        assert response.status_code == 405, (method, path)
        allowed = {name.strip() for name in response.headers["allow"].split(",")}
        assert allowed == METHODS[path]
        assert response.headers["cache-control"] == "no-store"
        if path not in {*PAGES, "/", "/authorize/resume"}:
            check_error(response, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/consent", "/logout/confirm"])
async def test_who_opens_the_address_of_a_form_is_told_in_words_for_a_person(
    sqlite_provider: Provider, path: str
) -> None:
    response = await sqlite_provider.http.get(path, headers={"Accept": "text/html"})
    assert response.status_code == 405
    assert "not a page to open by itself" in response.text
    assert "method." not in response.text
    assert "Go back to the app" in response.text


@pytest.mark.parametrize(
    "path", ["/nothing", "/token/", "/tokens", "/.well-known/nothing", "/%00", "/..%2f", "/é"]
)
async def test_an_unknown_path_is_not_found(sqlite_provider: Provider, path: str) -> None:
    check_error(await sqlite_provider.http.get(path), 404, "not_found")
    page = await sqlite_provider.http.get(path, headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'role="alert"' in page.text


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/../app.py", "/static/"])
async def test_an_unknown_asset_is_not_found(sqlite_provider: Provider, path: str) -> None:
    assert (await sqlite_provider.http.get(path)).status_code == 404


@pytest.mark.parametrize("path", CLIENT_ENDPOINTS + PAGES)
async def test_a_body_over_the_limit_is_refused(sqlite_provider: Provider, path: str) -> None:
    body = b"a=" + b"x" * 70_000

    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1_000):
            yield body[start : start + 1_000]

    announced = await sqlite_provider.http.post(path, content=body, headers=FORM)
    streamed = await sqlite_provider.http.post(path, content=in_chunks(), headers=FORM)
    for response in (announced, streamed):
        assert response.status_code == 413
        assert response.headers["cache-control"] == "no-store"
        if path in CLIENT_ENDPOINTS:
            check_error(response, 413, "invalid_request")


async def test_a_body_at_the_limit_is_read(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    body = b"grant_type=client_credentials&padding="
    body += b"x" * (65_536 - len(body))
    assert client.auth is not None
    response = await sqlite_provider.http.post(
        "/token", content=body, headers=FORM, auth=client.auth
    )
    assert response.status_code == 200


@pytest.mark.parametrize("raw", BROKEN)
async def test_a_malformed_body_is_an_invalid_request_everywhere(
    sqlite_provider: Provider, raw: bytes
) -> None:
    http = sqlite_provider.http
    for path in (*CLIENT_ENDPOINTS, "/userinfo"):
        response = await http.post(path, content=raw, headers=FORM)
        check_error(response, 400, "invalid_request")
    for path in PAGES:
        response = await http.post(path, content=raw, headers=FORM)
        check_page(response, 400)


@pytest.mark.parametrize(
    "raw", [raw for raw in BROKEN if raw.isascii() and raw.decode().isprintable()]
)
async def test_a_malformed_query_is_an_invalid_request_on_every_page(
    sqlite_provider: Provider, raw: bytes
) -> None:
    for path in ("/authorize", "/authorize/resume", "/login", "/logout"):
        url = httpx.URL("http://127.0.0.1:8000").copy_with(raw_path=f"{path}?".encode() + raw)
        check_page(await sqlite_provider.http.get(url), 400)


def check_page(response: httpx.Response, status: int) -> None:
    """Hold an error to what a person is shown."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "location" not in response.headers
    assert 'role="alert"' in response.text


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded2",
        "x" * 4_000,
    ],
)
async def test_a_body_of_another_type_is_refused(
    sqlite_provider: Provider, content_type: str | None
) -> None:
    client = await sqlite_provider.create_client()
    assert client.auth is not None
    headers = {} if content_type is None else {"Content-Type": content_type}
    for path in CLIENT_ENDPOINTS:
        response = await sqlite_provider.http.post(
            path,
            content=b"grant_type=client_credentials&token=x",
            headers=headers,
            auth=client.auth,
        )
        check_error(response, 400, "invalid_request")
    for path in PAGES:
        check_page(await sqlite_provider.http.post(path, content=b"a=b", headers=headers), 400)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded;charset=UTF-8",
        'application/x-www-form-urlencoded; charset="utf-8"',
        "Application/X-WWW-Form-Urlencoded",
        "application/x-www-form-urlencoded ; charset=utf-8",
        "application/x-www-form-urlencoded;",
    ],
)
async def test_the_type_may_be_written_in_any_of_its_ways(
    sqlite_provider: Provider, content_type: str
) -> None:
    client = await sqlite_provider.create_client()
    assert client.auth is not None
    response = await sqlite_provider.http.post(
        "/token",
        content=b"grant_type=client_credentials",
        headers={"Content-Type": content_type},
        auth=client.auth,
    )
    assert response.status_code == 200


@pytest.mark.parametrize("path", CLIENT_ENDPOINTS)
async def test_any_parameter_that_comes_twice_is_refused(
    sqlite_provider: Provider, path: str
) -> None:
    client = await sqlite_provider.create_client()
    assert client.auth is not None
    for name in ("grant_type", "token", "scope", "client_id", "unknown"):
        data: dict[str, Any] = {
            "grant_type": "client_credentials",
            "token": "x",
            name: ["a", "b"],
        }
        response = await sqlite_provider.http.post(path, data=data, auth=client.auth)
        check_error(response, 400, "invalid_request")


async def test_a_fault_of_ours_tells_nothing(sqlite_provider: Provider) -> None:
    async def broken(request: Request) -> Response:
        raise RuntimeError("SELECT secret FROM users")

    sqlite_provider.app.router.routes.append(Route("/broken", broken))
    response = await sqlite_provider.http.get("/broken")
    check_error(response, 500, "server_error")
    assert response.headers["x-request-id"]
    assert "SELECT" not in response.text
    assert "Traceback" not in response.text


async def test_every_response_carries_an_id_of_its_own(sqlite_provider: Provider) -> None:
    paths = ("/", "/jwks", "/nothing", "/token", "/healthz", "/static/mark.svg", "/login")
    responses = [await sqlite_provider.http.get(path) for path in paths]
    assert len({response.headers["x-request-id"] for response in responses}) == len(paths)
    for response in responses:
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_an_error_page_shows_the_id_under_which_the_log_has_it(
    sqlite_provider: Provider,
) -> None:
    response = await sqlite_provider.http.get("/authorize")
    check_page(response, 400)
    assert response.headers["x-request-id"] in response.text
