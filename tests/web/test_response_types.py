"""Implicit and hybrid flows (OpenID Connect Core §3.2, §3.3), off unless asked for twice."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from authsvc.protocol.errors import OAuthError
from tests.conftest import Backend, OpenProvider
from tests.front_channel import (
    EVERY_FLOW,
    FRONT_CHANNEL,
    answer_of,
    fragment_in,
    go_on,
    half_hash,
    query_in,
    visit,
)
from tests.provider import (
    REDIRECT_URI,
    Account,
    Provider,
    TestClient,
    claims_of,
    header_of,
)

IMPLICIT = ["id_token", "id_token token"]
HYBRID = ["code id_token", "code token", "code id_token token"]
ALWAYS = {"state", "session_state", "iss"}
OF_TOKEN = {"access_token", "token_type", "expires_in", "scope"}


def expected(response_type: str) -> set[str]:
    """Return the parameters of the answer (OpenID Connect Core §3.2.2.5, §3.3.2.5)."""
    words = set(response_type.split())
    return ALWAYS | (words & {"code", "id_token"}) | (OF_TOKEN if "token" in words else set())


@pytest.fixture
async def provider(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider with every flow turned on."""
    opened: Provider = await open_providers(sqlite_backend, **EVERY_FLOW)
    return opened


async def arrange(provider: Provider, **metadata: Any) -> tuple[TestClient, Account]:
    """Create a client with every response type, and a person."""
    account = await provider.create_user(email="anna@example.com", claims={"name": "Anna"})
    return await provider.create_client(**{**FRONT_CHANNEL, **metadata}), account


@pytest.mark.parametrize("response_type", [*IMPLICIT, *HYBRID])
async def test_nothing_but_code_works_by_default(
    sqlite_provider: Provider, response_type: str
) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    await visit(sqlite_provider, browser, client, response_type=response_type)
    answer = fragment_in(browser.left_for)
    assert (answer["error"], answer["state"]) == ("unsupported_response_type", "the-state")
    grants = ["authorization_code", "implicit"]
    with pytest.raises(OAuthError, match="invalid_client_metadata"):
        await sqlite_provider.create_client(grant_types=grants, response_types=[response_type])


@pytest.mark.parametrize(
    ("setting", "works"), [("implicit_flow", IMPLICIT), ("hybrid_flow", HYBRID)]
)
async def test_each_setting_turns_its_own_flow_on(
    sqlite_backend: Backend, open_providers: OpenProvider, setting: str, works: list[str]
) -> None:
    provider: Provider = await open_providers(sqlite_backend, **{setting: True})
    metadata = (await provider.http.get("/.well-known/openid-configuration")).json()
    assert set(metadata["response_types_supported"]) == {"code", *works}
    assert "implicit" in metadata["grant_types_supported"]
    grants = sorted(
        {"authorization_code" if "code" in t.split() else "implicit" for t in works} | {"implicit"}
    )
    client = await provider.create_client(grant_types=grants, response_types=works)
    account = await provider.create_user()
    for response_type in works:
        answer = fragment_in(
            await answer_of(provider, client, account, response_type=response_type)
        )
        assert answer.keys() == expected(response_type)
    for other in {*IMPLICIT, *HYBRID} - set(works):
        browser = provider.browser()
        await visit(provider, browser, client, response_type=other)
        assert fragment_in(browser.left_for)["error"] == "unsupported_response_type"


@pytest.mark.parametrize("response_type", [*IMPLICIT, *HYBRID])
async def test_the_client_must_have_registered_it_too(
    provider: Provider, response_type: str
) -> None:
    client, browser = await provider.create_client(), provider.browser()
    await visit(provider, browser, client, response_type=response_type)
    assert fragment_in(browser.left_for)["error"] == "unauthorized_client"
    one = await provider.create_client(
        grant_types=["authorization_code", "implicit"],
        response_types=["id_token" if response_type != "id_token" else "id_token token", "code"],
    )
    await visit(provider, browser, one, response_type=response_type)
    assert fragment_in(browser.left_for)["error"] == "unauthorized_client"


@pytest.mark.parametrize("response_type", ["token", "code code", "id_token foo", "none", "CODE"])
async def test_other_combinations_are_not_supported(provider: Provider, response_type: str) -> None:
    client, _ = await arrange(provider)
    browser = provider.browser()
    await visit(provider, browser, client, response_type=response_type)
    location = browser.left_for
    assert location is not None
    in_fragment = "token" in response_type or "id_token" in response_type
    answer = fragment_in(location) if in_fragment else query_in(provider, browser)
    assert answer["error"] == "unsupported_response_type"


@pytest.mark.parametrize("response_type", [*IMPLICIT, *HYBRID])
@pytest.mark.parametrize("alg", ["RS256", "EdDSA"])
async def test_the_answer_is_bound_together_by_hashes(
    provider: Provider, response_type: str, alg: str
) -> None:
    client, account = await arrange(provider, id_token_signed_response_alg=alg)
    answer = fragment_in(await answer_of(provider, client, account, response_type=response_type))
    assert answer.keys() == expected(response_type)
    assert (answer["state"], answer["iss"]) == ("the-state", provider.settings.issuer)
    words = response_type.split()
    if "token" in words:
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", "300")
        assert (await provider.userinfo(answer["access_token"])).json()["sub"] == account.id
    if "id_token" not in words:
        return
    assert header_of(answer["id_token"])["alg"] == alg
    claims = claims_of(answer["id_token"])
    digest = "sha512" if alg == "EdDSA" else "sha256"
    for name, value in (
        ("at_hash", answer.get("access_token")),
        ("c_hash", answer.get("code")),
        ("s_hash", "the-state"),
    ):
        assert claims.get(name) == (half_hash(value, digest) if value else None)
    assert (claims["nonce"], claims["aud"]) == ("the-nonce", client.client_id)
    assert claims["sub"] == account.id


async def test_the_hash_of_the_example_in_the_specification_is_right() -> None:
    # OpenID Connect Core §A.4.
    assert half_hash("Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk") == (
        "LDktKdoQak3Pk0cnXxCltA"
    )


async def test_no_state_has_no_hash(provider: Provider) -> None:
    client, account = await arrange(provider)
    location = await answer_of(provider, client, account, response_type="id_token", state=None)
    answer = fragment_in(location)
    assert "state" not in answer
    assert "s_hash" not in claims_of(answer["id_token"])


@pytest.mark.parametrize("response_type", [*IMPLICIT, *HYBRID])
async def test_an_id_token_needs_a_nonce(provider: Provider, response_type: str) -> None:
    client, account = await arrange(provider)
    if "id_token" not in response_type.split():
        location = await answer_of(
            provider, client, account, response_type=response_type, nonce=None
        )
        assert "code" in fragment_in(location)
        return
    for nonce in (None, ""):
        browser = provider.browser()
        await visit(provider, browser, client, response_type=response_type, nonce=nonce)
        assert fragment_in(browser.left_for)["error"] == "invalid_request"


async def test_an_id_token_needs_the_scope_openid(provider: Provider) -> None:
    client, _ = await arrange(provider)
    browser = provider.browser()
    await visit(provider, browser, client, response_type="id_token", scope="profile")
    assert fragment_in(browser.left_for)["error"] == "invalid_scope"


@pytest.mark.parametrize("response_type", [*IMPLICIT, *HYBRID])
async def test_only_an_id_token_alone_carries_the_claims_of_the_scope(
    provider: Provider, response_type: str
) -> None:
    client, account = await arrange(provider)
    answer = fragment_in(
        await answer_of(
            provider, client, account, response_type=response_type, scope="openid email profile"
        )
    )
    if "id_token" in answer:
        claims = claims_of(answer["id_token"])
        has = {"email", "email_verified", "name"} <= claims.keys()
        assert has == (response_type == "id_token")


@pytest.mark.parametrize("response_type", [*IMPLICIT, *HYBRID])
async def test_the_answer_goes_into_the_fragment_or_a_form_and_never_a_query(
    provider: Provider, response_type: str
) -> None:
    client, account = await arrange(provider)
    wanted = expected(response_type)
    location = await answer_of(
        provider, client, account, response_type=response_type, response_mode="fragment"
    )
    assert fragment_in(location).keys() == wanted
    browser = provider.browser()
    page = await visit(
        provider, browser, client, response_type=response_type, response_mode="form_post"
    )
    page = await go_on(browser, page, account)
    (form,) = page.forms
    assert (form.action, set(form.fields)) == (REDIRECT_URI, wanted)
    for mode in ("query", "jwt"):
        browser = provider.browser()
        await visit(provider, browser, client, response_type=response_type, response_mode=mode)
        answer = fragment_in(browser.left_for)
        assert answer["error"] == "invalid_request"
        assert not answer.keys() & {"code", "id_token", "access_token"}


async def test_a_code_may_go_into_the_fragment(provider: Provider) -> None:
    client, account = await arrange(provider)
    answer = fragment_in(await answer_of(provider, client, account, response_mode="fragment"))
    assert answer.keys() == expected("code")
    assert (await provider.redeem(client, answer["code"])).status_code == 200


@pytest.mark.parametrize(
    "changes", [{"prompt": "none"}, {"max_age": "x"}, {"scope": "openid unheard-of"}, {"nonce": ""}]
)
async def test_an_error_goes_where_the_answer_would(
    provider: Provider, changes: dict[str, str]
) -> None:
    client, _ = await arrange(provider)
    browser = provider.browser()
    await visit(provider, browser, client, response_type="code id_token", **changes)
    answer = fragment_in(browser.left_for)
    assert answer.keys() == {"error", "error_description", "state", "iss"}
    page = await visit(
        provider,
        browser,
        client,
        response_type="code id_token",
        response_mode="form_post",
        **changes,
    )
    assert page.forms[0].fields.keys() == answer.keys()


async def test_a_person_who_says_no_is_told_in_the_fragment(provider: Provider) -> None:
    client, account = await arrange(provider)
    browser = provider.browser()
    page = await visit(provider, browser, client, response_type="id_token token")
    values = {"username": account.username, "password": account.password}
    page = await browser.submit(page, values, button="#login-submit")
    await browser.submit(page, {}, button="#consent-deny")
    assert fragment_in(browser.left_for)["error"] == "access_denied"


@pytest.mark.parametrize(
    "response_type", ["token id_token", "id_token code", "token code", "token id_token code"]
)
async def test_the_words_come_in_any_order(provider: Provider, response_type: str) -> None:
    client, account = await arrange(provider)
    answer = fragment_in(await answer_of(provider, client, account, response_type=response_type))
    assert answer.keys() == expected(response_type)


@pytest.mark.parametrize("response_type", HYBRID)
async def test_a_code_that_comes_along_is_a_code_like_any_other(
    provider: Provider, response_type: str
) -> None:
    client, account = await arrange(provider)
    answer = fragment_in(await answer_of(provider, client, account, response_type=response_type))
    without = await provider.redeem(client, answer["code"], code_verifier=None)
    assert without.json()["error"] == "invalid_grant"
    answer = fragment_in(await answer_of(provider, client, account, response_type=response_type))
    tokens = (await provider.redeem(client, answer["code"])).json()
    assert "refresh_token" in tokens
    second = claims_of(tokens["id_token"])
    assert second["nonce"] == "the-nonce"
    if "id_token" in answer:
        first = claims_of(answer["id_token"])
        assert [first[n] for n in ("iss", "sub", "aud")] == [
            second[n] for n in ("iss", "sub", "aud")
        ]


async def test_a_code_in_the_front_channel_needs_pkce_where_the_client_does(
    provider: Provider,
) -> None:
    client, account = await arrange(provider)
    browser = provider.browser()
    without = {"code_challenge": None, "code_challenge_method": None}
    await visit(provider, browser, client, response_type="code id_token", **without)
    assert fragment_in(browser.left_for)["error"] == "invalid_request"
    location = await answer_of(provider, client, account, response_type="id_token", **without)
    assert "id_token" in fragment_in(location)


@pytest.mark.parametrize("response_type", ["id_token token", "code token", "code id_token token"])
async def test_no_refresh_token_and_no_offline_access_come_by_the_front_channel(
    provider: Provider, response_type: str
) -> None:
    client, account = await arrange(provider)
    answer = fragment_in(await answer_of(provider, client, account, response_type=response_type))
    assert "refresh_token" not in answer
    assert answer["scope"] == claims_of(answer["access_token"])["scope"] == "openid"


@pytest.mark.parametrize("response_type", ["code token", "code id_token token"])
async def test_a_code_used_twice_takes_the_token_back_that_came_along(
    provider: Provider, response_type: str
) -> None:
    client, account = await arrange(provider)
    answer = fragment_in(await answer_of(provider, client, account, response_type=response_type))
    tokens = (await provider.redeem(client, answer["code"])).json()
    both = (answer["access_token"], tokens["access_token"])
    for token in both:
        assert (await provider.userinfo(token)).status_code == 200
    assert (await provider.redeem(client, answer["code"])).json()["error"] == "invalid_grant"
    for token in both:
        assert (await provider.userinfo(token)).status_code == 401


@pytest.mark.parametrize("response_type", ["id_token token", "code token"])
async def test_a_token_of_the_front_channel_ends_with_its_session(
    provider: Provider, response_type: str
) -> None:
    client, account = await arrange(provider)
    answer = fragment_in(await answer_of(provider, client, account, response_type=response_type))
    token = answer["access_token"]
    resources = provider.resources
    async with resources.database.transaction() as tx:
        await resources.revoker.revoke_session(tx, claims_of(token)["sid"])
    assert (await provider.userinfo(token)).status_code == 401


async def test_a_public_client_may_use_the_implicit_flow(provider: Provider) -> None:
    client, account = await arrange(provider, token_endpoint_auth_method="none")
    location = await answer_of(provider, client, account, response_type="id_token token")
    assert "access_token" in fragment_in(location)


async def test_the_redirect_uri_keeps_its_query(provider: Provider) -> None:
    uri = f"{REDIRECT_URI}?tenant=1"
    client, account = await arrange(provider, redirect_uris=[uri])
    location = await answer_of(
        provider, client, account, response_type="id_token", redirect_uri=uri
    )
    assert location.startswith(f"{uri}#")
    assert urlsplit(location).query == "tenant=1"


async def test_the_grant_implicit_is_not_one_of_the_token_endpoint(provider: Provider) -> None:
    client, _ = await arrange(provider)
    response = await provider.token(client, grant_type="implicit")
    assert response.json()["error"] == "unsupported_grant_type"


async def test_claims_for_the_id_token_are_in_that_of_the_front_channel(
    provider: Provider,
) -> None:
    client, account = await arrange(provider)
    claims = {"id_token": {"name": None}, "userinfo": {"email": None}}
    answer = fragment_in(
        await answer_of(
            provider, client, account, response_type="code id_token token", claims=claims
        )
    )
    assert claims_of(answer["id_token"])["name"] == "Anna"
    told = (await provider.userinfo(answer["access_token"])).json()
    assert told == {"sub": account.id, "email": "anna@example.com"}
