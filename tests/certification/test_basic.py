"""Basic OP: what the code flow alone does, at the token and userinfo endpoints."""

import time
from typing import Any

import httpx
import jwt
import pytest

from tests.certification.relying_party import JSON, STATE, RelyingParty
from tests.certification.suite import Suite
from tests.client_keys import assertion_parameters, claims_for, public_jwk, sign
from tests.provider import CHALLENGE, VERIFIER, header_of


async def _userinfo(suite: Suite, **request: object) -> httpx.Response:
    method = "POST" if "data" in request or request.pop("post", False) else "GET"
    return await suite.http.request(method, suite.metadata["userinfo_endpoint"], **request)  # type: ignore[arg-type]  # options of httpx, by name


async def test_the_id_token_is_signed_with_rs256_by_a_key_that_is_published(
    suite: Suite,
) -> None:
    client = await suite.register()
    signed_in = await client.sign_in()
    header = header_of(signed_in.id_token)
    assert header["alg"] == "RS256"
    key = next(key for key in await suite.jwks() if key["kid"] == header["kid"])
    assert key["kty"] == "RSA"
    assert key.get("use", "sig") == "sig"
    assert not {"d", "p", "q", "dp", "dq", "qi"} & key.keys()


@pytest.mark.parametrize("alg", ["ES256", "PS256", "RS256"])
async def test_the_id_token_is_signed_as_registered(suite: Suite, alg: str) -> None:
    client = await suite.register(id_token_signed_response_alg=alg)
    signed_in = await client.sign_in()
    assert header_of(signed_in.id_token)["alg"] == alg


async def test_userinfo_takes_the_token_by_header_and_by_body_alike(suite: Suite) -> None:
    client = await suite.register()
    signed_in = await client.sign_in(scope="openid email")
    bearer = {"Authorization": f"Bearer {signed_in.access_token}"}

    answers = [
        await _userinfo(suite, headers=bearer),
        await _userinfo(suite, headers=bearer, post=True),
        await _userinfo(suite, data={"access_token": signed_in.access_token}),
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["content-type"].partition(";")[0] for answer in answers} == {JSON}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert answers[0].json()["sub"] == signed_in.claims["sub"]


async def test_userinfo_may_be_a_signed_jwt(suite: Suite) -> None:
    client = await suite.register(userinfo_signed_response_alg="RS256")
    signed_in = await client.sign_in(scope="openid email")

    answer = await _userinfo(suite, headers={"Authorization": f"Bearer {signed_in.access_token}"})

    assert answer.headers["content-type"].partition(";")[0] == "application/jwt"
    assert header_of(answer.text)["alg"] == "RS256"
    claims = await suite.verify(answer.text)
    assert claims["sub"] == signed_in.claims["sub"]
    assert claims["iss"] == suite.issuer
    assert claims["aud"] in (client.client_id, [client.client_id])
    assert claims["email"] == suite.email


async def test_userinfo_challenges_who_has_no_token_or_a_wrong_one(suite: Suite) -> None:
    without = await _userinfo(suite)
    wrong = await _userinfo(suite, headers={"Authorization": "Bearer nonsense"})

    assert without.status_code == wrong.status_code == 401
    assert without.headers["www-authenticate"].startswith("Bearer")
    assert "error=" not in without.headers["www-authenticate"]  # RFC 6750 §3.1
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]


@pytest.mark.parametrize("after", [0, 30])
async def test_a_code_used_twice_yields_nothing_and_takes_back_the_first_token(
    suite: Suite, after: float
) -> None:
    client = await suite.register()
    answer = await client.authorize()
    tokens = await client.tokens(answer)
    await suite.userinfo(tokens["access_token"])
    suite.provider.clock.move(seconds=after)

    again = await client.redeem(answer)

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await _userinfo(suite, headers=bearer)).status_code == 401


async def test_codes_and_access_tokens_expire_when_it_was_said(suite: Suite) -> None:
    client = await suite.register()
    answer, late = await client.authorize(), await client.authorize()
    tokens = await client.tokens(answer)
    suite.provider.clock.move(seconds=tokens["expires_in"] + 1)

    response = await client.redeem(late)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    expired = await _userinfo(suite, headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert expired.status_code == 401
    assert 'error="invalid_token"' in expired.headers["www-authenticate"]


async def test_a_code_is_for_the_client_and_redirect_uri_it_was_issued_to(suite: Suite) -> None:
    client, other = await suite.register(), await suite.register()
    stolen = await other.redeem(await client.authorize())
    elsewhere = await client.redeem(await client.authorize(), redirect_uri="https://rp.example/")
    nowhere = await client.redeem(await client.authorize(), redirect_uri=None)
    assert stolen.json()["error"] == elsewhere.json()["error"] == "invalid_grant"
    assert nowhere.json()["error"] in ("invalid_grant", "invalid_request")
    assert {stolen.status_code, elsewhere.status_code, nowhere.status_code} == {400}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
async def test_a_client_authenticates_as_registered(suite: Suite, method: str) -> None:
    client = await suite.register(token_endpoint_auth_method=method)
    assert ("client_secret" in client.registration) == (method != "none")
    # RFC 9700 §2.1.1: a public client has to.
    pkce: dict[str, Any] = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    answer = await client.authorize(**(pkce if method == "none" else {}))
    tokens = await client.tokens(answer, code_verifier=VERIFIER if method == "none" else None)
    await client.check_id_token(
        tokens["id_token"], access_token=tokens["access_token"], optional=True
    )


@pytest.mark.parametrize("audience", ["issuer", "token_endpoint", "list"])
async def test_a_client_authenticates_with_a_jwt_it_signs(suite: Suite, audience: str) -> None:
    client = await suite.register(
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="RS256",
        jwks={"keys": [public_jwk("RS256")]},
    )
    assert "client_secret" not in client.registration
    endpoint = suite.metadata["token_endpoint"]
    aud = {"issuer": suite.issuer, "token_endpoint": endpoint, "list": [suite.issuer, endpoint]}
    assertion = sign(claims_for(client.client_id, aud=aud[audience]), "RS256")
    answer = await client.authorize()

    tokens = await client.tokens(answer, **assertion_parameters(assertion))

    assert "id_token" in tokens
    replayed = await client.redeem(await client.authorize(), **assertion_parameters(assertion))
    assert (replayed.status_code, replayed.json()["error"]) == (401, "invalid_client")


async def test_a_client_authenticates_with_a_jwt_made_with_its_secret(suite: Suite) -> None:
    client = await suite.register(token_endpoint_auth_method="client_secret_jwt")
    secret = client.registration["client_secret"]
    claims = claims_for(client.client_id, aud=suite.metadata["token_endpoint"])
    assertion = jwt.encode(claims, secret, algorithm="HS256")
    tokens = await client.tokens(await client.authorize(), **assertion_parameters(assertion))
    assert "id_token" in tokens


async def _refreshable(suite: Suite) -> RelyingParty:
    return await suite.register(grant_types=["authorization_code", "refresh_token"])


async def test_a_refresh_token_yields_tokens_for_the_same_person(suite: Suite) -> None:
    client = await _refreshable(suite)
    signed_in = await client.sign_in(scope="openid offline_access", prompt="consent")
    suite.provider.clock.move(seconds=2)

    response = await client.call_token(
        grant_type="refresh_token", refresh_token=signed_in.tokens["refresh_token"]
    )

    assert response.status_code == 200, response.text
    tokens = response.json()
    assert tokens["access_token"] != signed_in.access_token
    assert (await suite.userinfo(tokens["access_token"]))["sub"] == signed_in.claims["sub"]
    if "id_token" in tokens:  # OpenID Connect Core §12.2
        before, after = signed_in.claims, await suite.verify(tokens["id_token"])
        for name in ("iss", "sub", "aud", "auth_time", "azp"):
            assert after[name] == before[name]
        assert after["iat"] > before["iat"]
        assert after.get("nonce", before["nonce"]) == before["nonce"]


async def test_a_refresh_token_is_good_for_its_own_client_alone(suite: Suite) -> None:
    client, other = await _refreshable(suite), await _refreshable(suite)
    signed_in = await client.sign_in(scope="openid offline_access", prompt="consent")

    response = await other.call_token(
        grant_type="refresh_token", refresh_token=signed_in.tokens["refresh_token"]
    )

    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


async def test_offline_access_is_ignored_where_the_client_can_not_use_it(suite: Suite) -> None:
    client = await suite.register("code")
    signed_in = await client.sign_in(scope="openid offline_access", prompt="consent")
    assert "refresh_token" not in signed_in.tokens


async def test_a_state_comes_back_as_it_was_sent_and_none_when_none_was(suite: Suite) -> None:
    client = await suite.register()
    assert (await client.authorize())["state"] == STATE
    assert "state" not in await client.authorize(state=None)


async def test_the_person_who_says_no_sends_the_client_away_with_access_denied(
    suite: Suite,
) -> None:
    client, browser = await suite.register(), suite.provider.browser()
    page = await client.visit(browser)
    values = {"username": suite.person.username, "password": suite.person.password}
    page = await browser.submit(page, values, button="#login-submit")
    page = await browser.submit(page, {}, button="#consent-deny")
    answer = await client.finish(browser, page, client.request())
    assert answer.error == "access_denied"


async def test_claims_of_the_id_token_tell_of_the_sign_in(suite: Suite) -> None:
    client = await suite.register(require_auth_time=True)
    claims = (await client.sign_in()).claims
    assert isinstance(claims["auth_time"], int)
    assert abs(claims["auth_time"] - time.time()) < 60
    assert isinstance(claims["acr"], str)
    assert all(isinstance(method, str) for method in claims["amr"])
