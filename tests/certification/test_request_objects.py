"""Dynamic OP: request objects by value and by reference (OpenID Connect Core §6, RFC 9101)."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.certification.relying_party import CALLBACK, NONCE, RelyingParty
from tests.certification.suite import Suite
from tests.client_keys import encode, public_jwk, sign
from tests.web_servers import WebServer, open_web_server

KEYS = {"keys": [public_jwk("RS256")]}


@pytest.fixture
async def files() -> AsyncIterator[WebServer]:
    """The web server that a client puts its request objects on."""
    async with open_web_server(tls=False) as running:
        yield running


def _claims(client: RelyingParty, **changes: Any) -> dict[str, Any]:
    return {
        **client.request(),
        "iss": client.client_id,
        "aud": client.suite.issuer,
        **changes,
    }


def _unsigned(claims: dict[str, Any]) -> str:
    header = encode(orjson.dumps({"alg": "none"}))
    return f"{header}.{encode(orjson.dumps(claims))}."


def _signed(claims: dict[str, Any]) -> str:
    return sign(claims, "RS256")


def _make(alg: str, claims: dict[str, Any]) -> str:
    return _signed(claims) if alg == "RS256" else _unsigned(claims)


@pytest.mark.parametrize("alg", ["RS256", "none"])
async def test_a_request_object_by_value_is_the_request(suite: Suite, alg: str) -> None:
    client = await suite.register(request_object_signing_alg=alg, jwks=KEYS)
    request = _make(alg, _claims(client, nonce="inside"))

    answer = await client.authorize(request=request, nonce="outside")

    await client.collect(answer, nonce="inside")


async def test_what_a_client_did_not_register_to_send_unsigned_is_refused(suite: Suite) -> None:
    client = await suite.register(request_object_signing_alg="RS256", jwks=KEYS)
    answer = await client.authorize(request=_unsigned(_claims(client)))
    assert answer.error == "invalid_request_object"


async def test_a_request_object_is_never_ignored(suite: Suite) -> None:
    """Without a registered algorithm an unsigned one is honoured or refused, nothing else."""
    client = await suite.register()
    answer = await client.authorize(request=_unsigned(_claims(client, nonce="inside")))
    if answer.error is None:
        await client.collect(answer, nonce="inside")
    else:
        assert answer.error in ("invalid_request_object", "request_not_supported")


async def test_without_a_registered_algorithm_any_signature_of_the_client_will_do(
    suite: Suite,
) -> None:
    client = await suite.register(jwks=KEYS)
    answer = await client.authorize(request=_signed(_claims(client, nonce="inside")))
    await client.collect(answer, nonce="inside")


@pytest.mark.parametrize("alg", ["RS256", "none"])
async def test_the_redirect_uri_inside_wins(suite: Suite, alg: str) -> None:
    client = await suite.register(request_object_signing_alg=alg, jwks=KEYS)
    request = _make(alg, _claims(client))

    browser = suite.provider.browser()
    page = await client.visit(browser, request=request, redirect_uri=f"{CALLBACK}/not/registered")

    answer = await client.finish(browser, page, client.request())
    await client.collect(answer)


async def test_a_redirect_uri_inside_must_be_registered_as_well(suite: Suite) -> None:
    client = await suite.register(request_object_signing_alg="RS256", jwks=KEYS)
    await client.refuse(request=_signed(_claims(client, redirect_uri="https://evil.example/")))


async def test_values_that_are_no_texts_keep_their_types(suite: Suite) -> None:
    client, browser = (
        await suite.register(request_object_signing_alg="RS256", jwks=KEYS),
        suite.provider.browser(),
    )
    await client.sign_in(browser)
    suite.provider.clock.move(seconds=5)
    wish = {"userinfo": {"email": {"essential": True}}}

    answer = await client.authorize(
        browser, request=_signed(_claims(client, max_age=1, claims=wish))
    )

    signed_in = await client.collect(answer)
    assert answer.pages[0] == "login"
    assert "email" in await suite.userinfo(str(signed_in.access_token))


@pytest.mark.parametrize("alg", ["RS256", "none"])
async def test_a_request_object_by_reference_is_the_request(
    suite: Suite, files: WebServer, alg: str
) -> None:
    location = f"{files.url}/request"
    client = await suite.register(
        request_object_signing_alg=alg, jwks=KEYS, request_uris=[location]
    )
    content = _make(alg, _claims(client, nonce="inside")).encode()
    files.respond("/request", body=content, headers={"Content-Type": "application/jwt"})
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")

    answer = await client.authorize(request_uri=f"{location}#{digest}", nonce="outside")

    await client.collect(answer, nonce="inside")
    assert [request.method for request in files.requests] == ["GET"]


async def test_a_request_uri_may_be_registered_with_its_hash(
    suite: Suite, files: WebServer
) -> None:
    location = f"{files.url}/request#abc"
    client = await suite.register(
        request_object_signing_alg="RS256", jwks=KEYS, request_uris=[location]
    )
    files.respond("/request", body=_signed(_claims(client)).encode())
    await client.collect(await client.authorize(request_uri=location), nonce=NONCE)


async def test_a_request_uri_that_is_not_registered_is_not_asked(
    suite: Suite, files: WebServer
) -> None:
    client = await suite.register(request_object_signing_alg="RS256", jwks=KEYS)
    files.respond("/request", body=_signed(_claims(client)).encode())
    answer = await client.authorize(request_uri=f"{files.url}/request")
    assert answer.error in ("invalid_request_uri", "request_uri_not_supported")
    assert files.requests == []


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"response_type": "code id_token"},
        {"aud": "https://another.example"},
        {"iss": "another"},
        {"exp": 1},
        {"nbf": 9_999_999_999},
        {"request": "x.y.z"},
    ],
)
async def test_a_request_object_that_is_not_right_is_invalid(
    suite: Suite, changes: dict[str, Any]
) -> None:
    client = await suite.register(request_object_signing_alg="RS256", jwks=KEYS)
    answer = await client.authorize(request=_signed(_claims(client, **changes)))
    assert answer.error == "invalid_request_object"


async def test_a_signature_of_somebody_else_is_invalid(suite: Suite) -> None:
    client = await suite.register(
        request_object_signing_alg="RS256", jwks={"keys": [public_jwk("RS256", 7)]}
    )
    answer = await client.authorize(request=_signed(_claims(client)))
    assert answer.error == "invalid_request_object"


async def test_both_kinds_at_once_exclude_each_other(suite: Suite, files: WebServer) -> None:
    client = await suite.register(request_object_signing_alg="RS256", jwks=KEYS)
    request = _signed(_claims(client))
    answer = await client.authorize(request=request, request_uri=f"{files.url}/request")
    assert answer.error == "invalid_request"
