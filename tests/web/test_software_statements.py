"""Software statements: metadata that a trusted issuer signed wins (RFC 7591 §2.3)."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest

from tests.answers import check_error
from tests.client_keys import encode, public_jwk, sign
from tests.conftest import Backend, OpenProvider
from tests.provider import REDIRECT_URI, Provider
from tests.registration import WEB, manage, register, registered
from tests.web_servers import WebServer, open_web_server

ISSUER = "https://software.example"


@pytest.fixture
async def publisher() -> AsyncIterator[WebServer]:
    """The host of the issuer's keys."""
    async with open_web_server() as server:
        publish(server, 0)
        yield server


@pytest.fixture
async def opened(
    sqlite_backend: Backend, open_providers: OpenProvider, publisher: WebServer
) -> Provider:
    """A provider that believes the issuer."""
    provider: Provider = await open_providers(
        sqlite_backend,
        registration="open",
        registration_statement_issuers={ISSUER: f"{publisher.url}/jwks"},
        outbound_loopback=True,
        outbound_ca_file=publisher.ca_file,
    )
    return provider


def publish(server: WebServer, number: int) -> None:
    keys = {"keys": [public_jwk("ES256", number)]}
    headers = {"Content-Type": "application/json", "Cache-Control": "max-age=3600"}
    server.respond("/jwks", headers=headers, body=orjson.dumps(keys))


def statement(provider: Provider, number: int = 0, /, **changes: Any) -> str:
    now = int(provider.clock.now().timestamp())
    claims = {
        "iss": ISSUER,
        "iat": now,
        "exp": now + 600,
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
        "client_name": "The signed name",
        "redirect_uris": [REDIRECT_URI],
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return sign(claims, "ES256", number)


async def test_what_is_signed_wins_and_the_statement_comes_back_unchanged(
    opened: Provider,
) -> None:
    signed = statement(opened)
    made = await registered(
        opened,
        {
            "software_statement": signed,
            "client_name": "Another name",
            "client_name#de": "Ein anderer Name",
            "redirect_uris": ["https://evil.example/"],
            "client_uri": "https://app.example/",
        },
    )
    assert made["software_statement"] == signed
    assert made["client_name"] == "The signed name"
    assert made["redirect_uris"] == [REDIRECT_URI]
    assert made["software_id"] == "4NRB1-0XZABZI9E6-5SM3R"
    assert made["client_uri"] == "https://app.example/"
    assert not {"client_name#de", "iss", "iat", "exp"} & made.keys()

    content = {"client_id": made["client_id"], "software_statement": signed, "client_name": "x"}
    changed = (await manage(opened, "PUT", made, content)).json()
    assert changed["client_name"] == "The signed name"
    assert changed["software_statement"] == signed


async def test_what_is_signed_is_held_to_the_same_limits(opened: Provider) -> None:
    signed = statement(
        opened,
        scope="openid authsvc:admin",
        resources=["https://orders.example"],
        client_id="the-admin",
        client_secret="a-secret-of-the-statement-itself",
    )
    made = await registered(opened, {"software_statement": signed})
    assert made["scope"] == "openid"
    assert "resources" not in made
    assert made["client_id"] != "the-admin"
    assert made["client_secret"] != "a-secret-of-the-statement-itself"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": None},
        {"iss": 1},
        {"exp": 1},
        {"exp": "soon"},
        {"exp": True},
        {"nbf": 9_999_999_999},
        {"iat": 9_999_999_999},
        {"iat": 1e300},
        {"aud": "https://other.example"},
        {"aud": []},
        {"aud": None, "exp": 0},
    ],
    ids=str,
)
async def test_a_statement_whose_claims_do_not_hold_is_refused(
    opened: Provider, changes: Mapping[str, Any]
) -> None:
    signed = statement(opened, **changes)
    response = await register(opened, {**WEB, "software_statement": signed})
    check_error(response, 400, "invalid_software_statement")


@pytest.mark.parametrize(
    "audience", ["http://127.0.0.1:8000", ["x", "http://127.0.0.1:8000/register"]]
)
async def test_a_statement_for_this_server_or_without_an_end_is_taken(
    opened: Provider, audience: object
) -> None:
    signed = statement(opened, aud=audience, exp=None, iat=None)
    assert await registered(opened, {"software_statement": signed})


async def test_a_statement_that_was_signed_by_another_key_is_refused(opened: Provider) -> None:
    good = statement(opened)
    header, payload, signature = good.split(".")
    other = encode(orjson.dumps({"iss": ISSUER, **WEB}))
    none = encode(b'{"alg":"none"}')
    for forged in (
        statement(opened, 1),
        f"{header}.{other}.{signature}",
        f"{none}.{payload}.",
        f"{none}.{payload}.AA",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        "not a jwt",
        "a.b.c",
        "",
        1,
        ["x"],
    ):
        response = await register(opened, {**WEB, "software_statement": forged})
        check_error(response, 400, "invalid_software_statement")


async def test_a_statement_of_an_issuer_that_is_not_trusted_is_not_approved(
    opened: Provider, publisher: WebServer
) -> None:
    before = len(publisher.requests)
    for issuer in ("https://other.example", f"{ISSUER}/", publisher.url):
        signed = statement(opened, iss=issuer)
        response = await register(opened, {**WEB, "software_statement": signed})
        check_error(response, 400, "unapproved_software_statement")
    assert len(publisher.requests) == before


async def test_without_trusted_issuers_no_statement_is_approved(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, registration="open")
    response = await register(provider, {**WEB, "software_statement": statement(provider)})
    check_error(response, 400, "unapproved_software_statement")


async def test_the_issuer_may_rotate_its_keys(opened: Provider, publisher: WebServer) -> None:
    await registered(opened, {"software_statement": statement(opened)})
    publish(publisher, 1)
    await registered(opened, {"software_statement": statement(opened, 1)})


async def test_keys_that_can_not_be_read_are_nobodys_consent(
    opened: Provider, publisher: WebServer
) -> None:
    for answer in ({"status": 500}, {"body": b"no json"}, {"body": b"{}"}):
        publisher.respond("/jwks", **answer)
        response = await register(opened, {"software_statement": statement(opened)})
        check_error(response, 503, "temporarily_unavailable")
        assert "retry-after" in response.headers
