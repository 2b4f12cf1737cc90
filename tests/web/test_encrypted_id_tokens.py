"""ID tokens for the eyes of one client (OpenID Connect Core §10.2, §16.14)."""

from typing import Any

import orjson
import pytest

from authsvc.protocol.encryption import CONTENT_ALGORITHMS
from tests.answers import check_error
from tests.client_keys import public_jwk
from tests.conftest import Backend, OpenProvider
from tests.encryption_keys import KEYS, encryption_jwk, opened_jwt
from tests.front_channel import (
    EVERY_FLOW,
    FRONT_CHANNEL,
    answer_of,
    fragment_in,
    query_in,
    visit,
)
from tests.provider import Provider, TestClient, claims_of, header_of
from tests.web_servers import open_web_server


async def encrypting(provider: Provider, alg: str = "ECDH-ES", **metadata: Any) -> TestClient:
    """Create a client that wants its ID tokens encrypted."""
    jwks = {"keys": [public_jwk("RS256"), encryption_jwk(alg)]}
    return await provider.create_client(
        **{"jwks": jwks, "id_token_encrypted_response_alg": alg, **metadata}
    )


@pytest.mark.parametrize("alg", KEYS)
async def test_an_id_token_is_signed_and_then_encrypted(
    sqlite_provider: Provider, alg: str
) -> None:
    client, account = await encrypting(sqlite_provider, alg), await sqlite_provider.create_user()
    tokens = await sqlite_provider.sign_in(client, account)
    signed = opened_jwt(tokens["id_token"], alg, enc="A128CBC-HS256")
    assert header_of(signed)["alg"] == "RS256"
    claims = claims_of(signed)
    assert (claims["sub"], claims["aud"]) == (account.id, client.client_id)
    assert claims["nonce"] == "the-nonce"
    assert claims_of(tokens["access_token"])["sub"] == account.id


@pytest.mark.parametrize("enc", CONTENT_ALGORITHMS)
async def test_the_content_algorithm_is_the_one_registered(
    sqlite_provider: Provider, enc: str
) -> None:
    client = await encrypting(sqlite_provider, id_token_encrypted_response_enc=enc)
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    assert opened_jwt(tokens["id_token"], "ECDH-ES", enc=enc)


async def test_a_refreshed_id_token_is_encrypted_too(provider: Provider) -> None:
    client, account = await encrypting(provider), await provider.create_user()
    tokens = await provider.sign_in(client, account)
    response = await provider.refresh(client, tokens["refresh_token"])
    assert claims_of(opened_jwt(response.json()["id_token"], "ECDH-ES"))["sub"] == account.id


@pytest.mark.parametrize("response_type", ["id_token", "id_token token", "code id_token"])
async def test_an_id_token_of_the_front_channel_is_encrypted_too(
    sqlite_backend: Backend, open_providers: OpenProvider, response_type: str
) -> None:
    provider: Provider = await open_providers(sqlite_backend, **EVERY_FLOW)
    client = await encrypting(provider, **FRONT_CHANNEL)
    account = await provider.create_user()
    answer = fragment_in(await answer_of(provider, client, account, response_type=response_type))
    assert claims_of(opened_jwt(answer["id_token"], "ECDH-ES"))["sub"] == account.id


async def test_the_decrypted_id_token_is_a_hint(sqlite_provider: Provider) -> None:
    client, account = await encrypting(sqlite_provider), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    tokens = await sqlite_provider.sign_in(client, account, browser)
    signed = opened_jwt(tokens["id_token"], "ECDH-ES")
    for hint, answer in ((signed, "code"), (tokens["id_token"], "error")):
        await visit(sqlite_provider, browser, client, prompt="none", id_token_hint=hint)
        assert answer in query_in(sqlite_provider, browser)


async def test_keys_at_a_jwks_uri_are_used_and_without_one_nothing_is_spent(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, outbound_loopback=True)
    async with open_web_server(tls=False) as web:
        client = await encrypting(provider, jwks=None, jwks_uri=f"{web.url}/jwks")
        account, browser = await provider.create_user(), provider.browser()
        code = (await provider.authorize(browser, client, account))["code"]
        for status, body in (
            (500, b""),
            (200, b"<html>"),
            (200, orjson.dumps({"keys": [public_jwk("RS256")]})),
        ):
            web.respond("/jwks", status=status, body=body)
            check_error(await provider.redeem(client, code), 503, "temporarily_unavailable")
        web.respond("/jwks", body=orjson.dumps({"keys": [encryption_jwk("ECDH-ES")]}))
        tokens = (await provider.redeem(client, code)).json()
        assert opened_jwt(tokens["id_token"], "ECDH-ES")

        provider.clock.move(minutes=2)
        web.respond("/jwks", status=500)
        response = await provider.refresh(client, tokens["refresh_token"])
        check_error(response, 503, "temporarily_unavailable")
        # The client has a new key now, and its refresh token is still good.
        web.respond("/jwks", body=orjson.dumps({"keys": [encryption_jwk("ECDH-ES", 1)]}))
        tokens = (await provider.refresh(client, tokens["refresh_token"])).json()
        assert opened_jwt(tokens["id_token"], "ECDH-ES", 1)


async def test_without_a_key_the_front_channel_tells_an_error_before_anybody_signs_in(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, outbound_loopback=True, **EVERY_FLOW)
    async with open_web_server(tls=False) as web:
        client = await encrypting(provider, jwks=None, jwks_uri=f"{web.url}/jwks", **FRONT_CHANNEL)
        browser = provider.browser()
        await visit(provider, browser, client, response_type="id_token")
        assert fragment_in(browser.left_for)["error"] == "temporarily_unavailable"
