"""Bad input at every endpoint: the RFC's error, never a 5xx, and nothing changes."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import httpx
import pytest

from tests.conftest import Backend, OpenProvider
from tests.provider import REDIRECT_URI, SECRET, VERIFIER, Provider, TestClient
from tests.storage.counting import count_rows

FORM = "application/x-www-form-urlencoded"
LOGGED = frozenset({"audit_events"})
"""What an attack may leave behind: that it happened."""

VALUES: Mapping[str, bytes] = {
    "nothing": b"",
    "a space": b" ",
    "NUL": b"a\x00b",
    "only NUL": b"\x00",
    "CR LF": b"a\r\nSet-Cookie: x=y",
    "no UTF-8": b"\xff\xfe\xfa",
    "half a surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\xaf",
    "long": b"a" * 20_000,
    "quote": b"' OR '1'='1",
    "comment": b"x'; DROP TABLE users; --",
    "wildcards": b"%_%",
    "backslash": b"\\'\"\\",
    "format": b"%s%n{0}${7*7}{{7*7}}",
    "path": b"../../../../etc/passwd",
    "markup": b"<script>alert(1)</script>",
    "number": b"-1",
    "huge number": b"9" * 400,
    "JSON": b'{"$ne": null}',
    "invisible": "\u202e\u2066\u200b\ufeff".encode(),
    "wide": "\U0001f4a9\U0010ffff".encode(),
}


def _requests(provider: Provider, client: TestClient) -> dict[str, tuple[str, str, dict[str, str]]]:
    """Return each endpoint with parameters that it could take, by a name."""
    credentials = {"client_id": client.client_id, "client_secret": SECRET}
    authorization = provider.authorization_parameters(
        client,
        prompt="none",
        max_age=1,
        login_hint="anna",
        id_token_hint="a.b.c",
        acr_values="aal1",
        ui_locales="en",
        response_mode="query",
        resource="https://api.example",
        display="page",
    )
    logout = {
        "id_token_hint": "a.b.c",
        "client_id": client.client_id,
        "post_logout_redirect_uri": REDIRECT_URI,
        "state": "x",
    }
    code = {"code": "c", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    assertion = {
        "client_assertion": "a.b.c",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    grant = {"grant_type": "authorization_code"}
    return {
        "authorize": ("GET", "/authorize", authorization),
        "posted authorize": ("POST", "/authorize", authorization),
        "code": ("POST", "/token", {**credentials, **grant, **code}),
        "refresh": (
            "POST",
            "/token",
            {**credentials, "grant_type": "refresh_token", "refresh_token": "r", "scope": "openid"},
        ),
        "assertion": ("POST", "/token", {**assertion, **grant, **code}),
        "introspect": (
            "POST",
            "/introspect",
            {**credentials, "token": "t", "token_type_hint": "access_token"},
        ),
        "revoke": ("POST", "/revoke", {**credentials, "token": "t", "token_type_hint": "x"}),
        "userinfo": ("POST", "/userinfo", {"access_token": "a.b.c"}),
        "login": ("GET", "/login", {"continue": "x"}),
        "posted login": (
            "POST",
            "/login",
            {"username": "u", "password": "p", "continue": "x", "csrf_token": "t"},
        ),
        "resume": ("GET", "/authorize/resume", {"continue": "x"}),
        "consent": (
            "POST",
            "/consent",
            {"continue": "x", "csrf_token": "t", "decision": "approve"},
        ),
        "logout": ("GET", "/logout", logout),
        "confirm": ("POST", "/logout/confirm", {**logout, "csrf_token": "t"}),
    }


async def _send(
    provider: Provider, method: str, path: str, encoded: bytes, **headers: str
) -> httpx.Response:
    if method == "GET":
        url = provider.http.base_url.copy_with(raw_path=path.encode() + b"?" + encoded)
        return await provider.http.request("GET", url, headers=headers)
    return await provider.http.post(
        path, content=encoded, headers={"Content-Type": FORM, **headers}
    )


def _check(response: httpx.Response, sent: bytes) -> str | None:
    """Return what is wrong with an answer to bad input, if anything is."""
    if response.status_code >= 500:
        return f"{response.status_code}"
    if any(leak in response.text for leak in ("Traceback", "sqlalchemy", "SELECT ", "alert(1)")):
        return "leaks or echoes"
    if b"Set-Cookie: x=y" in sent and "x=y" in str(response.headers):
        return "splits the response"
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind not in {"application/json", "text/html"} and response.content:
        return f"is {kind}"
    if kind == "application/json" and response.status_code >= 400:
        body = response.json()
        if not {"error", "error_description"} <= body.keys():
            return "is not the RFC's error"
        if response.headers.get("cache-control") != "no-store":
            return "may be stored"
    return None


async def _find_problems(provider: Provider, client: TestClient) -> list[str]:
    problems = []
    for name, (method, path, parameters) in _requests(provider, client).items():
        for parameter in [*parameters, "unknown"]:
            rest = urlencode({k: v for k, v in parameters.items() if k != parameter}).encode()
            for kind, value in VALUES.items():
                escaped = quote_from_bytes(value, safe="").encode()
                encoded = rest + b"&" + parameter.encode() + b"=" + escaped
                response = await _send(provider, method, path, encoded)
                if wrong := _check(response, value):
                    problems.append(f"{name} {parameter}={kind}: {wrong}")
    return problems


@pytest.mark.parametrize("backend", ["sqlite", "postgres"], indirect=True)
async def test_no_value_of_any_parameter_breaks_an_endpoint_or_changes_anything(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(backend, log_level="error")
    client = await provider.create_client()
    await provider.create_user(username="anna")
    before = await count_rows(provider, without=LOGGED)

    problems = await _find_problems(provider, client)

    assert problems == []
    assert await count_rows(provider, without=LOGGED) == before


async def test_each_parameter_sent_twice_is_refused(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    before = await count_rows(sqlite_provider)
    for method, path, parameters in _requests(sqlite_provider, client).values():
        for parameter in parameters:
            if parameter == "resource":
                continue
            encoded = urlencode([*parameters.items(), (parameter, "second")]).encode()
            response = await _send(sqlite_provider, method, path, encoded)
            assert response.status_code < 500
            if path in {"/token", "/introspect", "/revoke"}:
                answer = (response.status_code, response.json()["error"])
                assert answer == (400, "invalid_request"), (path, parameter)
            else:
                location = response.headers.get("location", "error=")
                assert "error=" in location or "/authorize?" in location, (path, parameter)
                assert "code=" not in location
    assert await count_rows(sqlite_provider) == before


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        f"{FORM}; charset=utf-16",
        "application/x-www-form-urlencoded-x",
        "\u00e9",
        f"{FORM}, application/json",
    ],
)
async def test_a_body_of_another_type_is_not_read(
    sqlite_provider: Provider, content_type: str | None
) -> None:
    client = await sqlite_provider.create_client()
    body = urlencode({"grant_type": "client_credentials"})
    before = await count_rows(sqlite_provider)
    for path in ("/token", "/introspect", "/revoke", "/login", "/consent", "/logout/confirm"):
        headers = {} if content_type is None else {b"Content-Type": content_type.encode()}
        response = await sqlite_provider.http.post(
            path, content=body, headers=headers, auth=client.auth or httpx.USE_CLIENT_DEFAULT
        )
        assert response.status_code == 400, path
    assert await count_rows(sqlite_provider) == before


def _basic(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return "Basic " + base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YQ",
        _basic(""),
        _basic(":"),
        _basic(":secret"),
        _basic("nocolon"),
        _basic("%00:x"),
        _basic("%zz:x"),
        _basic(b"\xff\xfe:x"),
        _basic("%ff:x"),
        _basic("a\x00b:x"),
        _basic("a" * 6_000 + ":x"),
        _basic("x' OR '1'='1:x"),
        "Basic " + "A" * 50_000,
        "Bearer abc",
        "Digest username=x",
        "Negotiate",
        "basic\u00a0YTpi",
        "Basic YTpi, Basic YTpi",
    ],
)
async def test_a_malformed_authorization_header_is_invalid_client(
    sqlite_provider: Provider, header: str
) -> None:
    before = await count_rows(sqlite_provider)
    for path in ("/token", "/introspect", "/revoke"):
        response = await sqlite_provider.http.post(
            path,
            data={"grant_type": "client_credentials", "token": "x"},
            headers={b"Authorization": header.encode("latin-1")},
        )
        assert response.status_code == 401, response.text
        assert response.json()["error"] == "invalid_client"
        assert response.headers["www-authenticate"].startswith("Basic ")
    assert await count_rows(sqlite_provider) == before


async def test_two_authorization_headers_are_refused(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    headers = [("Authorization", _basic(f"{client.client_id}:{SECRET}"))] * 2
    form = {"grant_type": "client_credentials", "token": "x"}
    for path in ("/token", "/introspect", "/revoke", "/userinfo"):
        response = await sqlite_provider.http.post(path, data=form, headers=headers)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "extra",
    [
        {"client_secret": SECRET},
        {"client_assertion": "a.b.c"},
        {"client_assertion_type": "x"},
        {"client_id": "another"},
    ],
    ids=str,
)
async def test_a_client_that_authenticates_in_two_ways_is_refused(
    sqlite_provider: Provider, extra: dict[str, str]
) -> None:
    client = await sqlite_provider.create_client()
    form: dict[str, Any] = {"client_id": client.client_id, **extra}

    response = await sqlite_provider.token(client, grant_type="client_credentials", **form)

    assert response.json()["error"] in {"invalid_request", "invalid_client"}
    assert "access_token" not in response.text


@pytest.mark.parametrize(
    "grant",
    [
        "",
        "password",
        "implicit",
        "AUTHORIZATION_CODE",
        "client_credentials ",
        "x" * 5_000,
        "\u00e9",
    ],
)
async def test_a_grant_that_is_not_supported_is_refused(
    sqlite_provider: Provider, grant: str
) -> None:
    client = await sqlite_provider.create_client()

    response = await sqlite_provider.token(client, grant_type=grant, username="u", password="p")

    expected = "unsupported_grant_type" if grant else "invalid_request"
    assert (response.status_code, response.json()["error"]) == (400, expected)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "FOO", "OPTIONS"])
async def test_another_method_is_refused(sqlite_provider: Provider, method: str) -> None:
    for path in ("/token", "/introspect", "/revoke", "/consent", "/logout/confirm"):
        response = await sqlite_provider.http.request(method, path)
        assert response.status_code == 405, path
        assert "POST" in response.headers["allow"]


@pytest.mark.parametrize(
    "raw",
    [
        b"a=%",
        b"a=%0",
        b"a=%zz",
        b"a=\xff",
        b"\x00",
        b"=" * 5_000,
        b"&" * 5_000,
        b"&".join(b"a%d=b" % number for number in range(101)),
        b"a" * 65_536,
        b"{}",
        b"\xef\xbb\xbfgrant_type=client_credentials",
    ],
    ids=lambda raw: repr(raw[:20]),
)
async def test_a_body_that_is_not_well_formed_is_refused(
    sqlite_provider: Provider, raw: bytes
) -> None:
    client = await sqlite_provider.create_client()
    before = await count_rows(sqlite_provider)
    for path in ("/token", "/introspect", "/revoke"):
        response = await sqlite_provider.http.post(
            path,
            content=raw,
            headers={"Content-Type": FORM},
            auth=client.auth or httpx.USE_CLIENT_DEFAULT,
        )
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert await count_rows(sqlite_provider) == before
