"""Bad input at every endpoint: the RFC's error, never a 5xx, and nothing changes."""

import base64
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.attacks.endpoints import FORM, requests_of, send
from tests.provider import SECRET, Provider
from tests.storage.counting import count_rows


async def test_each_parameter_sent_twice_is_refused(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    before = await count_rows(sqlite_provider)
    for method, path, parameters in requests_of(sqlite_provider, client).values():
        for parameter in parameters:
            if parameter == "resource":
                continue
            encoded = urlencode([*parameters.items(), (parameter, "second")]).encode()
            response = await send(sqlite_provider, method, path, encoded)
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
