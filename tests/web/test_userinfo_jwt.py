"""Userinfo as a JWT: signed, encrypted, or both (OpenID Connect Core §5.3.2)."""

from typing import Any

import jwt
import orjson
import pytest

from tests.answers import check_error
from tests.client_keys import ALGORITHMS, public_jwk
from tests.conftest import Backend, OpenProvider
from tests.encryption_keys import KEYS, encryption_jwk, opened_json, opened_jwt
from tests.provider import Account, Provider, TestClient, header_of
from tests.web_servers import open_web_server

SCOPE = "openid profile email"


async def userinfo_of(provider: Provider, client: TestClient, account: Account) -> Any:
    """Sign in and ask userinfo."""
    tokens = await provider.sign_in(client, account, scope=SCOPE)
    return await provider.userinfo(tokens["access_token"])


async def anna(provider: Provider) -> Account:
    """Create a person."""
    return await provider.create_user(email="anna@example.com", claims={"name": "Anna Bell"})


async def verified(provider: Provider, text: str, alg: str) -> dict[str, Any]:
    """Verify a JWT of the provider with nothing but its JWKS."""
    keys = (await provider.http.get("/jwks")).json()["keys"]
    header = header_of(text)
    assert header["alg"] == alg
    jwk = next(key for key in keys if key["kid"] == header["kid"])
    claims: dict[str, Any] = orjson.loads(
        jwt.PyJWS().decode(text, jwt.PyJWK(jwk).key, algorithms=[alg])
    )
    return claims


def check_person(claims: dict[str, Any], account: Account) -> None:
    """Hold the claims to what is known."""
    assert claims["sub"] == account.id
    assert (claims["name"], claims["email"]) == ("Anna Bell", "anna@example.com")


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_client_that_registered_it_gets_a_signed_jwt(
    sqlite_provider: Provider, alg: str
) -> None:
    client = await sqlite_provider.create_client(userinfo_signed_response_alg=alg)
    account = await anna(sqlite_provider)
    response = await userinfo_of(sqlite_provider, client, account)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/jwt"
    assert response.headers["cache-control"] == "no-store"
    claims = await verified(sqlite_provider, response.text, alg)
    check_person(claims, account)
    assert claims["iss"] == sqlite_provider.settings.issuer
    assert claims["aud"] == client.client_id


async def test_a_client_that_registered_nothing_gets_json(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await anna(sqlite_provider)
    response = await userinfo_of(sqlite_provider, client, account)
    assert response.headers["content-type"] == "application/json"
    assert not response.json().keys() & {"iss", "aud"}


@pytest.mark.parametrize("alg", KEYS)
@pytest.mark.parametrize("signed", [True, False])
async def test_a_client_that_registered_it_gets_it_encrypted(
    sqlite_provider: Provider, alg: str, signed: bool
) -> None:
    client = await sqlite_provider.create_client(
        jwks={"keys": [public_jwk("ES256"), encryption_jwk(alg)]},
        userinfo_encrypted_response_alg=alg,
        userinfo_signed_response_alg="ES256" if signed else None,
    )
    account = await anna(sqlite_provider)
    response = await userinfo_of(sqlite_provider, client, account)
    assert response.headers["content-type"] == "application/jwt"
    if signed:
        inside = opened_jwt(response.text, alg, enc="A128CBC-HS256")
        claims = await verified(sqlite_provider, inside, "ES256")
        assert claims["aud"] == client.client_id
    else:
        claims = opened_json(response.text, alg)
    check_person(claims, account)


async def test_an_error_is_json_whatever_the_client_registered(sqlite_provider: Provider) -> None:
    await sqlite_provider.create_client(userinfo_signed_response_alg="ES256")
    check_error(await sqlite_provider.userinfo("x.y.z"), 401, "invalid_token")


async def test_without_a_key_nothing_is_told(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, outbound_loopback=True)
    async with open_web_server(tls=False) as web:
        client = await provider.create_client(
            jwks_uri=f"{web.url}/jwks", userinfo_encrypted_response_alg="ECDH-ES"
        )
        account = await anna(provider)
        tokens = await provider.sign_in(client, account, scope=SCOPE)
        for keys in ([], [public_jwk("ES256")], [encryption_jwk("RSA-OAEP")]):
            web.respond("/jwks", body=orjson.dumps({"keys": keys}))
            response = await provider.userinfo(tokens["access_token"])
            check_error(response, 503, "temporarily_unavailable")
            assert "anna" not in response.text
        web.respond("/jwks", body=orjson.dumps({"keys": [encryption_jwk("ECDH-ES")]}))
        response = await provider.userinfo(tokens["access_token"])
        check_person(opened_json(response.text, "ECDH-ES"), account)
