"""ID tokens and access tokens as a client and a resource server verify them: with PyJWT."""

import base64
import hashlib
from typing import Any

import jwt
import pytest

from tests.client_keys import ALGORITHMS
from tests.provider import Provider, TestClient, claims_of, header_of

ISSUER = "http://127.0.0.1:8000"
ALWAYS = {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "roles", "permissions"}
OF_A_PERSON = {"auth_time", "acr", "amr", "family_id", "sid"}


async def verify(provider: Provider, token: str, alg: str, audience: str) -> dict[str, Any]:
    """Verify a JWT as others do: by the published key with its ``kid``, and that ``alg``."""
    keys = jwt.PyJWKSet.from_dict((await provider.http.get("/jwks")).json())
    key = keys[header_of(token)["kid"]]
    assert key.algorithm_name == alg
    required = ["iss", "sub", "aud", "exp", "iat"]
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[alg],
        audience=audience,
        issuer=ISSUER,
        options={"require": required},
    )
    return claims


def left_half(alg: str, value: str) -> str:
    """Return ``at_hash`` by OpenID Connect Core §3.1.3.6, reckoned independently."""
    digest = (hashlib.sha512 if alg == "EdDSA" else hashlib.sha256)(value.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


@pytest.mark.parametrize("alg", [None, *ALGORITHMS])
async def test_an_id_token_is_signed_as_the_client_registered(
    provider: Provider, alg: str | None
) -> None:
    client = await provider.create_client(id_token_signed_response_alg=alg)
    account = await provider.create_user()
    tokens = await provider.sign_in(client, account, nonce="é \"'<&> 🙂")
    refreshed = (await provider.refresh(client, tokens["refresh_token"])).json()
    for answer in (tokens, refreshed):
        used = alg or "RS256"
        claims = await verify(provider, answer["id_token"], used, client.client_id)
        assert header_of(answer["id_token"])["alg"] == used
        assert claims["at_hash"] == left_half(used, answer["access_token"])
        assert (claims["sub"], claims["azp"]) == (account.id, client.client_id)
    assert claims_of(tokens["id_token"])["nonce"] == "é \"'<&> 🙂"


async def test_an_id_token_says_how_and_when_the_person_signed_in(
    sqlite_provider: Provider,
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account)
    sqlite_provider.clock.move(minutes=10)
    tokens = await sqlite_provider.sign_in(client, account, browser, nonce=None)
    claims = claims_of(tokens["id_token"])
    assert claims.keys() == {
        *("iss", "sub", "aud", "azp", "exp", "iat"),
        *("auth_time", "acr", "amr", "at_hash", "sid"),
    }
    assert 600 <= claims["iat"] - claims["auth_time"] <= 602
    assert (claims["acr"], claims["amr"]) == ("aal1", ["pwd"])
    assert claims["sid"] == claims_of(tokens["access_token"])["sid"]
    elsewhere = await sqlite_provider.sign_in(client, account)
    assert claims_of(elsewhere["id_token"])["sid"] != claims["sid"]


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_an_access_token_is_signed_as_the_settings_say(
    sqlite_backend: Any, open_providers: Any, alg: str
) -> None:
    provider: Provider = await open_providers(sqlite_backend, signing_alg=alg)
    client = await provider.create_client()
    tokens = await provider.sign_in(client, await provider.create_user())
    await verify(provider, tokens["access_token"], alg, ISSUER)
    assert (await provider.userinfo(tokens["access_token"])).status_code == 200
    await verify(provider, tokens["id_token"], "RS256", client.client_id)


async def test_an_access_token_has_the_header_and_claims_of_rfc_9068(
    provider: Provider,
) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    first = await provider.sign_in(client, account, scope="openid api:read")
    tokens = await provider.sign_in(client, account, scope="openid api:read offline_access")
    header = header_of(tokens["access_token"])
    assert header.keys() == {"typ", "alg", "kid"}
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    claims = await verify(provider, tokens["access_token"], "ES256", ISSUER)
    assert claims.keys() == ALWAYS | OF_A_PERSON
    assert claims["iss"] == claims["aud"] == ISSUER
    assert (claims["sub"], claims["client_id"]) == (account.id, client.client_id)
    assert claims["scope"] == "openid api:read offline_access"
    assert claims["exp"] - claims["iat"] == 300
    assert (claims["acr"], claims["amr"]) == ("aal1", ["pwd"])
    assert 0 <= claims["iat"] - claims["auth_time"] <= 5
    assert (claims["roles"], claims["permissions"]) == ([], [])
    assert claims["jti"] != claims_of(first["access_token"])["jti"]


async def test_a_refreshed_token_does_not_hang_on_the_session(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    refreshed = (await sqlite_provider.refresh(client, tokens["refresh_token"])).json()
    claims = claims_of(refreshed["access_token"])
    assert claims.keys() == (ALWAYS | OF_A_PERSON) - {"sid"}
    before = claims_of(tokens["access_token"])
    for name in ("sub", "client_id", "scope", "auth_time", "acr", "amr", "family_id", "aud"):
        assert claims[name] == before[name]


async def test_a_token_of_a_client_for_itself_names_no_sign_in(
    sqlite_provider: Provider,
) -> None:
    await sqlite_provider.create_role("sync", "articles:write")
    client = await sqlite_provider.create_client(roles=["sync"])
    tokens = (await sqlite_provider.token(client, grant_type="client_credentials")).json()
    claims = await verify(sqlite_provider, tokens["access_token"], "ES256", ISSUER)
    assert header_of(tokens["access_token"])["typ"] == "at+jwt"
    assert claims.keys() == ALWAYS
    assert claims["sub"] == claims["client_id"] == client.client_id
    assert (claims["roles"], claims["permissions"]) == (["sync"], ["articles:write"])


async def test_each_sign_in_and_each_client_has_the_same_subject(
    sqlite_provider: Provider,
) -> None:
    account = await sqlite_provider.create_user()
    clients: list[TestClient] = [await sqlite_provider.create_client() for _ in range(2)]
    answers = [await sqlite_provider.sign_in(client, account) for client in clients]
    assert {claims_of(tokens["id_token"])["sub"] for tokens in answers} == {account.id}
