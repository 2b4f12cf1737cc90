"""Request objects by reference, and the keys that verify them (OpenID Connect Core §6.2)."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from authsvc.protocol.errors import InvalidClientMetadata
from tests.client_keys import public_jwk
from tests.conftest import Backend, OpenProvider
from tests.front_channel import go_on, query_in, visit
from tests.provider import Provider, TestClient, claims_of
from tests.request_objects import (
    claims_inside,
    client_with_keys,
    outside,
    signed,
    unsigned,
)
from tests.web_servers import WebServer, open_web_server

PATH = "/request.jwt"


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    """The client's own server."""
    async with open_web_server(tls=False) as server:
        yield server


@pytest.fixture
async def provider(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that may reach that server."""
    opened: Provider = await open_providers(sqlite_backend, outbound_loopback=True)
    return opened


async def client_at(provider: Provider, web: WebServer, **metadata: Any) -> TestClient:
    """Create a client that registered the path."""
    return await client_with_keys(
        provider, **{"request_uris": [f"{web.url}{PATH}"], "scope": "openid email", **metadata}
    )


async def error_of(provider: Provider, client: TestClient, uri: str, **more: Any) -> dict[str, str]:
    """Return what the client is told."""
    browser = provider.browser()
    await visit(provider, browser, client, **{"scope": "openid", "request_uri": uri, **more})
    return query_in(provider, browser)


def hash_of(jwt: str) -> str:
    """Return the hash of the content (OpenID Connect Core §6.2)."""
    digest = hashlib.sha256(jwt.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.mark.parametrize("fragment", ["", "#", "#version-2", "#hash"])
async def test_a_request_is_fetched_from_where_it_is_registered(
    provider: Provider, web: WebServer, fragment: str
) -> None:
    client, account = await client_at(provider, web), await provider.create_user()
    jwt = signed(claims_inside(provider, client, scope="openid email", state="inside"))
    fragment = fragment.replace("hash", hash_of(jwt))
    web.respond(
        PATH, body=jwt.encode(), headers={"Content-Type": "application/oauth-authz-req+jwt"}
    )
    browser = provider.browser()
    uri = f"{web.url}{PATH}{fragment}"
    page = await visit(provider, browser, client, **outside(client, request_uri=uri))
    await go_on(browser, page, account)
    answer = query_in(provider, browser)
    assert answer["state"] == "inside"
    tokens = (await provider.redeem(client, answer["code"])).json()
    assert tokens["scope"] == "openid email"
    (request,) = web.requests
    assert (request.method, request.target) == ("GET", PATH)
    assert "application/oauth-authz-req+jwt" in request.headers["accept"]


async def test_after_signing_in_nothing_is_fetched_again_and_nothing_changes(
    provider: Provider, web: WebServer
) -> None:
    client, account = await client_at(provider, web), await provider.create_user()
    jwt = signed(claims_inside(provider, client, scope="openid"))
    web.respond(PATH, body=jwt.encode(), headers={"Cache-Control": "no-store"})
    browser = provider.browser()
    page = await visit(provider, browser, client, **outside(client, request_uri=web.url + PATH))
    changed = signed(claims_inside(provider, client, scope="openid email", state="changed"))
    web.respond(PATH, body=changed.encode())
    await go_on(browser, page, account)
    answer = query_in(provider, browser)
    assert answer["state"] == "the-state"
    assert len(web.requests) == 1
    tokens = (await provider.redeem(client, answer["code"])).json()
    assert tokens["scope"] == "openid"


async def test_an_unsigned_request_at_a_uri_is_for_clients_that_registered_none(
    provider: Provider, web: WebServer
) -> None:
    for metadata, code in (
        ({"request_object_signing_alg": "none"}, "login_required"),
        ({}, "invalid_request_object"),
    ):
        client = await client_at(provider, web, **metadata)
        jwt = unsigned(claims_inside(provider, client, scope="openid", prompt="none"))
        web.respond(PATH, body=jwt.encode())
        assert (await error_of(provider, client, web.url + PATH))["error"] == code


@pytest.mark.parametrize(
    "path", ["/other", "/request.jwt/", "/request.jwt?a=b", "/x/../request.jwt", "/request%2ejwt"]
)
async def test_a_uri_that_is_not_registered_is_never_fetched(
    provider: Provider, web: WebServer, path: str
) -> None:
    client = await client_at(provider, web)
    for uri in (web.url + path, "https://evil.example/x", "urn:x", "file:///etc/passwd", "x"):
        answer = await error_of(provider, client, uri)
        assert answer["error"] == "invalid_request_uri"
        assert answer["state"] == "the-state"
    other = await client_with_keys(provider)
    assert (await error_of(provider, other, web.url + PATH))["error"] == "invalid_request_uri"
    assert web.requests == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"x"),
        (500, b"x"),
        (204, b""),
        (302, b""),
        (200, b"a" * 70_000),
        (200, "漢字".encode()),
    ],
)
async def test_what_can_not_be_read_is_an_invalid_request_uri(
    provider: Provider, web: WebServer, status: int, body: bytes
) -> None:
    client = await client_at(provider, web)
    web.respond(PATH, status=status, body=body)
    answer = await error_of(provider, client, web.url + PATH)
    assert answer["error"] == "invalid_request_uri"
    assert web.url not in answer["error_description"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"a.b.c", b"a" * 60_000])
async def test_what_is_no_request_object_is_invalid(
    provider: Provider, web: WebServer, body: bytes
) -> None:
    client = await client_at(provider, web)
    web.respond(PATH, body=body)
    answer = await error_of(provider, client, web.url + PATH)
    assert answer["error"] == "invalid_request_object"


async def test_a_request_object_must_not_lead_to_another(
    provider: Provider, web: WebServer
) -> None:
    client = await client_at(provider, web)
    for inside in ({"request_uri": web.url + PATH}, {"request": "a.b.c"}):
        jwt = signed(claims_inside(provider, client, scope="openid", **inside))
        web.respond(PATH, body=jwt.encode(), headers={"Cache-Control": "no-store"})
        answer = await error_of(provider, client, web.url + PATH)
        assert answer["error"] == "invalid_request_object"
    assert len(web.requests) == 2


async def test_loopback_is_out_of_reach_unless_the_setting_allows_it(
    sqlite_provider: Provider, web: WebServer
) -> None:
    with pytest.raises(InvalidClientMetadata):
        await client_at(sqlite_provider, web)
    uri = f"https://127.0.0.1:{web.port}{PATH}"
    client = await client_at(sqlite_provider, web, request_uris=[uri])
    answer = await error_of(sqlite_provider, client, uri)
    assert answer["error"] == "invalid_request_uri"
    assert web.requests == []


async def test_a_hash_that_is_not_that_of_the_cached_content_has_it_fetched_again(
    provider: Provider, web: WebServer
) -> None:
    client = await client_at(provider, web)
    for state in ("old", "new"):
        jwt = signed(claims_inside(provider, client, state=state, prompt="none"))
        web.respond(PATH, body=jwt.encode(), headers={"Cache-Control": "max-age=3600"})
        for _ in range(2):
            answer = await error_of(provider, client, f"{web.url}{PATH}#{hash_of(jwt)}")
            assert (answer["error"], answer["state"]) == ("login_required", state)
    assert len(web.requests) == 2


async def test_hashes_that_are_made_up_do_not_have_it_fetched_for_ever(
    provider: Provider, web: WebServer
) -> None:
    client = await client_at(provider, web)
    jwt = signed(claims_inside(provider, client, prompt="none"))
    web.respond(PATH, body=jwt.encode(), headers={"Cache-Control": "max-age=3600"})
    for number in range(20):
        uri = f"{web.url}{PATH}#{hash_of(str(number))}"
        assert (await error_of(provider, client, uri))["error"] == "login_required"
    assert len(web.requests) == 6


async def test_keys_at_a_jwks_uri_rotate(provider: Provider, web: WebServer) -> None:
    client = await client_with_keys(provider, jwks=None, jwks_uri=f"{web.url}/jwks")

    def publish(*numbers: int) -> None:
        keys = {"keys": [public_jwk("ES256", number) for number in numbers]}
        web.respond("/jwks", body=orjson.dumps(keys), headers={"Cache-Control": "max-age=3600"})

    async def answer_with(number: int) -> str:
        jwt = signed(claims_inside(provider, client, prompt="none"), "ES256", number)
        browser = provider.browser()
        await visit(provider, browser, client, request=jwt)
        return query_in(provider, browser)["error"]

    publish(0)
    assert await answer_with(0) == "login_required"
    assert await answer_with(0) == "login_required"
    assert len(web.requests) == 1
    publish(1)
    assert await answer_with(1) == "login_required"
    assert len(web.requests) == 2
    # The old key is gone from the set, and so from here.
    assert await answer_with(0) == "invalid_request_object"


async def test_keys_that_can_not_be_had_are_no_fault_of_the_request(
    provider: Provider, web: WebServer
) -> None:
    client = await client_with_keys(provider, jwks=None, jwks_uri=f"{web.url}/jwks")
    for status, body in ((500, b""), (200, b"<html>"), (200, b'{"keys": 5}')):
        web.respond("/jwks", status=status, body=body)
        browser = provider.browser()
        jwt = signed(claims_inside(provider, client))
        await visit(provider, browser, client, request=jwt)
        answer = query_in(provider, browser)
        assert answer["error"] == "temporarily_unavailable", (status, body)
        assert web.url not in answer["error_description"]


async def test_what_is_fetched_is_cached_as_its_headers_say(
    provider: Provider, web: WebServer
) -> None:
    client, account = await client_at(provider, web), await provider.create_user()
    jwt = signed(claims_inside(provider, client, scope="openid"))
    web.respond(PATH, body=jwt.encode(), headers={"Cache-Control": "max-age=60"})
    browser = provider.browser()
    for _ in range(3):
        page = await visit(
            provider, browser, client, **outside(client, request_uri=f"{web.url}{PATH}#a")
        )
        await go_on(browser, page, account)
        code = query_in(provider, browser)["code"]
        tokens = (await provider.redeem(client, code)).json()
        assert claims_of(tokens["id_token"])["sub"] == account.id
    assert len(web.requests) == 1
