"""private_key_jwt with keys at a ``jwks_uri``, which the client rotates (Core §10.1.1)."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from authsvc.oauth import client_keys
from tests.answers import check_error
from tests.client_keys import assertion_parameters, claims_for, public_jwk, sign
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider, TestClient
from tests.web_servers import WebServer, open_web_server


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


async def create_client(provider: Provider, web: WebServer) -> TestClient:
    """Create a client whose keys are at ``/jwks``."""
    return await provider.create_client(
        token_endpoint_auth_method="private_key_jwt", jwks_uri=f"{web.url}/jwks"
    )


def publish(web: WebServer, *numbers: int, cache: str = "max-age=3600") -> None:
    """Let the JWKS hold these keys."""
    keys = {"keys": [public_jwk("ES256", number) for number in numbers]}
    web.respond("/jwks", body=orjson.dumps(keys), headers={"Cache-Control": cache})


async def present(provider: Provider, client: TestClient, number: int) -> httpx.Response:
    """Authenticate with one of the keys."""
    parameters = assertion_parameters(sign(claims_for(client.client_id), "ES256", number))
    data = {"grant_type": "client_credentials", **parameters}
    return await provider.http.post("/token", data=data)


async def test_a_client_rotates_its_keys_by_publishing_others(
    provider: Provider, web: WebServer
) -> None:
    client = await create_client(provider, web)
    publish(web, 0)
    for _ in range(3):
        assert (await present(provider, client, 0)).status_code == 200
    assert len(web.requests) == 1
    publish(web, 0, 1)
    assert (await present(provider, client, 1)).status_code == 200
    assert (await present(provider, client, 0)).status_code == 200
    assert len(web.requests) == 2
    publish(web, 1)
    provider.clock.move(hours=2)
    at = int(provider.clock.now().timestamp())
    for number, status in ((0, 401), (1, 200)):
        claims = claims_for(client.client_id, iat=at, exp=at + 60)
        parameters = assertion_parameters(sign(claims, "ES256", number))
        data = {"grant_type": "client_credentials", **parameters}
        assert (await provider.http.post("/token", data=data)).status_code == status


async def test_guessing_does_not_let_us_flood_the_client(
    provider: Provider, web: WebServer
) -> None:
    client = await create_client(provider, web)
    publish(web, 0)
    for _ in range(12):
        check_error(await present(provider, client, 1), 401, "invalid_client")
    assert len(web.requests) <= 7
    assert (await present(provider, client, 0)).status_code == 200


async def test_keys_that_can_not_be_fetched_are_no_wrong_credentials(
    provider: Provider, web: WebServer
) -> None:
    client = await create_client(provider, web)
    response = await present(provider, client, 0)
    check_error(response, 503, "temporarily_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert web.url not in response.text
    publish(web, 0)
    assert (await present(provider, client, 0)).status_code == 200


async def test_private_and_symmetric_keys_at_the_uri_verify_nothing(
    provider: Provider, web: WebServer
) -> None:
    client = await create_client(provider, web)
    keys = [{"kty": "oct", "k": "AAAA", "kid": "ES256-0"}, public_jwk("ES256", 0, d="AAAA")]
    web.respond("/jwks", body=orjson.dumps({"keys": keys}))
    check_error(await present(provider, client, 0), 401, "invalid_client")


async def test_one_client_is_not_verified_by_the_keys_of_another(
    provider: Provider, web: WebServer
) -> None:
    client = await create_client(provider, web)
    publish(web, 0)
    await provider.create_client(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public_jwk("ES256", 1)]}
    )
    check_error(await present(provider, client, 1), 401, "invalid_client")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a signature was tried with a key, and a JWK Set was read."""
    calls = {"verify_with_jwk": 0, "read_client_jwks": 0}

    def count(name: str) -> None:
        real: Any = getattr(client_keys, name)

        def counting(*given: Any) -> Any:
            calls[name] += 1
            return real(*given)

        monkeypatch.setattr(client_keys, name, counting)

    for name in calls:
        count(name)
    return calls


def keys_without_kid(number: int) -> list[dict[str, Any]]:
    """Return public keys of which each might have signed."""
    keys = (ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(number))
    return [
        {name: value for name, value in ECAlgorithm.to_jwk(key, as_dict=True).items()
         if name != "key_ops"}
        for key in keys
    ]  # fmt: skip


async def test_a_set_of_many_keys_without_kid_costs_a_few_tries(
    provider: Provider, web: WebServer, counted: dict[str, int]
) -> None:
    keys = keys_without_kid(100)
    web.respond("/jwks", body=orjson.dumps({"keys": keys}), headers={"Cache-Control": "no-store"})
    client = await create_client(provider, web)
    check_error(await present(provider, client, 0), 401, "invalid_client")
    assert len(web.requests) == 2
    assert 0 < counted["verify_with_jwk"] <= 8 * len(web.requests)

    counted["verify_with_jwk"] = 0
    registered = await provider.create_client(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": keys[:20]}
    )
    check_error(await present(provider, registered, 0), 401, "invalid_client")
    assert 0 < counted["verify_with_jwk"] <= 8


async def test_one_of_a_few_keys_without_kid_is_found(
    provider: Provider, web: WebServer, counted: dict[str, int]
) -> None:
    right = public_jwk("ES256", 0, kid=None)
    others = [public_jwk("EdDSA", kid=None)] * 20  # no key for this algorithm costs a try
    body = orjson.dumps({"keys": [*others, *keys_without_kid(7), right]})
    web.respond("/jwks", body=body, headers={"Cache-Control": "max-age=60"})
    client = await create_client(provider, web)
    assert (await present(provider, client, 0)).status_code == 200
    assert counted["verify_with_jwk"] == 8


async def test_a_set_is_read_once_as_long_as_it_is_the_same(
    provider: Provider, web: WebServer, counted: dict[str, int]
) -> None:
    client = await create_client(provider, web)
    for fetches, kid in ((3, str(uuid4())), (6, str(uuid4()))):
        keys = [public_jwk("ES256"), public_jwk("ES256", 1, kid=kid)]
        body = orjson.dumps({"keys": keys})
        web.respond("/jwks", body=body, headers={"Cache-Control": "no-store"})
        for _ in range(3):
            assert (await present(provider, client, 0)).status_code == 200
        assert len(web.requests) == fetches
        assert counted["read_client_jwks"] == fetches // 3
