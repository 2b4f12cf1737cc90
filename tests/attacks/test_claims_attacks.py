"""What somebody would try on the claims parameter, pairwise subjects and JWTs from userinfo."""

from typing import Any

import orjson
import pytest

from tests.conftest import Backend, OpenProvider
from tests.front_channel import (
    EVERY_FLOW,
    FRONT_CHANNEL,
    answer_of,
    fragment_in,
    go_on,
    query_in,
    visit,
)
from tests.provider import Provider, claims_of


def wanting(names: list[str]) -> str:
    """Return a claims parameter that wants all of them."""
    return orjson.dumps({"userinfo": dict.fromkeys(names)}).decode()


@pytest.mark.parametrize(
    "claims",
    [
        "[" * 5_000,
        '{"userinfo":' * 2_000,
        '{"userinfo": {"a": ' + "[" * 500 + "]" * 500 + "}}",
        wanting([f"claim{n}" for n in range(101)]),
        wanting([f"{n:03}" + "x" * 250 for n in range(100)]),
        '{"userinfo": {"a": {"value": "' + "x" * 60_000 + '"}}}',
    ],
)
async def test_claims_that_are_too_deep_or_too_many_are_an_error(
    sqlite_provider: Provider, claims: str
) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, claims=claims, prompt="none")
    page = await browser.post("/authorize", parameters)
    assert page.status < 500
    assert query_in(sqlite_provider, browser)["error"] == "invalid_request"


async def test_a_value_that_is_deep_is_no_crash(sqlite_provider: Provider) -> None:
    deep = '{"x":' * 300 + "1" + "}" * 300
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    for name in ("a", "sub", "acr"):
        claims = f'{{"id_token": {{"{name}": {{"essential": true, "value": {deep}}}}}}}'
        page = await visit(sqlite_provider, browser, client, claims=claims, prompt="none")
        assert page.status < 500
        code = "unmet_authentication_requirements" if name == "acr" else "login_required"
        assert query_in(sqlite_provider, browser)["error"] == code


async def test_as_many_claims_as_may_be_asked_for_still_make_a_token_that_works(
    sqlite_provider: Provider,
) -> None:
    names = [f"claim{n}-" + "x" * 50 for n in range(80)]
    client = await sqlite_provider.create_client()
    account = await sqlite_provider.create_user(claims={names[0]: "told"})
    browser = sqlite_provider.browser()
    page = await visit(sqlite_provider, browser, client, claims=wanting(names))
    await go_on(browser, page, account)
    code = query_in(sqlite_provider, browser)["code"]
    tokens = (await sqlite_provider.redeem(client, code)).json()
    told = (await sqlite_provider.userinfo(tokens["access_token"])).json()
    assert told == {"sub": account.id, names[0]: "told"}


@pytest.mark.parametrize(
    "name", ["a b", "claim:openid", "openid authsvc:admin", "a\nb", "a\u202eb", "\u00a0", ""]
)
async def test_a_claim_does_not_pass_for_a_scope_in_a_consent(
    sqlite_provider: Provider, name: str
) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    page = await visit(
        sqlite_provider, browser, client, scope="openid", claims={"userinfo": {name: None}}
    )
    await go_on(browser, page, account)
    assert "code" in query_in(sqlite_provider, browser)
    for scope in ("openid api:read", "openid email", "openid api:write"):
        await visit(sqlite_provider, browser, client, scope=scope, prompt="none")
        assert query_in(sqlite_provider, browser)["error"] == "consent_required"


async def test_a_hostile_claim_name_is_text_on_the_page(sqlite_provider: Provider) -> None:
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    wanted = {"userinfo": {"<script>alert(1)</script>": None}}
    page = await visit(sqlite_provider, browser, client, claims=wanted)
    values = {"username": account.username, "password": account.password}
    page = await browser.submit(page, values, button="#login-submit")
    assert page.has("#consent-approve")
    assert "<script>alert" not in page.text


async def test_a_sub_can_not_be_used_to_ask_whether_a_person_is_signed_in(
    sqlite_provider: Provider,
) -> None:
    """Each wrong guess looks like nobody being there at all."""
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    other = await sqlite_provider.create_user()
    signed_in, stranger = sqlite_provider.browser(), sqlite_provider.browser()
    await sqlite_provider.authorize(signed_in, client, account)
    answers = []
    for browser, sub in ((signed_in, other.id), (signed_in, "nobody"), (stranger, other.id)):
        wanted = {"id_token": {"sub": {"value": sub}}}
        await visit(sqlite_provider, browser, client, prompt="none", claims=wanted)
        answers.append(query_in(sqlite_provider, browser))
    assert answers[0] == answers[1] == answers[2]


async def test_signed_userinfo_is_no_id_token(sqlite_provider: Provider) -> None:
    client = await sqlite_provider.create_client(userinfo_signed_response_alg="RS256")
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()
    tokens = await sqlite_provider.sign_in(client, account, browser)
    userinfo = (await sqlite_provider.userinfo(tokens["access_token"])).text
    for hint, answer in ((userinfo, "error"), (tokens["id_token"], "code")):
        await visit(sqlite_provider, browser, client, prompt="none", id_token_hint=hint)
        assert answer in query_in(sqlite_provider, browser)
    assert (await sqlite_provider.userinfo(userinfo)).status_code == 401


async def test_two_sectors_can_not_join_what_they_know(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    """Nothing that two clients are told about one person is equal and telling."""
    provider: Provider = await open_providers(sqlite_backend, **EVERY_FLOW)
    account, told = await provider.create_user(), []
    for host in ("one", "two"):
        uri = f"https://{host}.example/cb"
        client = await provider.create_client(
            **FRONT_CHANNEL, subject_type="pairwise", redirect_uris=[uri], scope="openid"
        )
        location = await answer_of(
            provider,
            client,
            account,
            response_type="code id_token token",
            redirect_uri=uri,
            scope="openid",
        )
        answer = fragment_in(location)
        values: set[Any] = set()
        for token in ("id_token", "access_token"):
            values |= {v for v in claims_of(answer[token]).values() if isinstance(v, str)}
        told.append(values | {claims_of(answer["id_token"])["sub"]})
    common = told[0] & told[1]
    assert common <= {provider.settings.issuer, "openid", "the-nonce", "aal1"} | {
        value for value in common if len(value) == 22
    }
    assert account.id not in told[0] | told[1]
