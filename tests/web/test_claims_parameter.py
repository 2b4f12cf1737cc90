"""The ``claims`` parameter (OpenID Connect Core §5.5)."""

from typing import Any

import orjson
import pytest

from tests.browser import Browser
from tests.front_channel import go_on, query_in, visit
from tests.provider import ORIGIN, Account, Provider, TestClient, claims_of

CLAIMS = {
    "name": "Anna Bell",
    "nickname": "Annie",
    "nickname#de": "Ännchen",
    "phone_number": "+44 20 7946 0000",
    "favourite_colour": "green",
}
PROTOCOL = {"sub", "iss", "aud", "azp", "exp", "iat", "auth_time", "acr", "amr", "nonce", "sid"}


async def arrange(provider: Provider, **metadata: Any) -> tuple[TestClient, Account]:
    """Create a client and a person of whom much is known."""
    account = await provider.create_user(email="anna@example.com", claims=CLAIMS)
    return await provider.create_client(**metadata), account


async def tokens_for(
    provider: Provider,
    client: TestClient,
    account: Account,
    browser: Browser | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    """Sign in, allow, and redeem the code."""
    browser = browser or provider.browser()
    page = await visit(provider, browser, client, **parameters)
    await go_on(browser, page, account)
    response = await provider.redeem(client, query_in(provider, browser)["code"])
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


async def told(provider: Provider, tokens: dict[str, Any]) -> dict[str, Any]:
    """Return what userinfo answers, without ``sub``."""
    response = await provider.userinfo(tokens["access_token"])
    assert response.status_code == 200
    return {name: value for name, value in response.json().items() if name != "sub"}


def about_person(tokens: dict[str, Any]) -> dict[str, Any]:
    """Return the claims in the ID token that are no protocol."""
    claims = claims_of(tokens["id_token"])
    assert claims.keys() >= PROTOCOL
    return {n: v for n, v in claims.items() if n not in PROTOCOL and not n.endswith("_hash")}


@pytest.mark.parametrize(
    "wish",
    [
        None,
        {},
        {"essential": True},
        {"essential": False},
        {"value": "Annie"},
        {"values": ["Annie", "x"], "essential": True},
        {"unknown": [1, {"a": None}]},
    ],
)
async def test_a_claim_goes_where_it_is_wanted_and_nowhere_else(
    sqlite_provider: Provider, wish: Any
) -> None:
    client, account = await arrange(sqlite_provider)
    wanted = {"userinfo": {"nickname": wish}, "id_token": {"phone_number": wish}}
    tokens = await tokens_for(sqlite_provider, client, account, scope="openid", claims=wanted)
    assert await told(sqlite_provider, tokens) == {"nickname": "Annie"}
    assert about_person(tokens) == {"phone_number": CLAIMS["phone_number"]}


async def test_claims_come_on_top_of_those_of_the_scope(provider: Provider) -> None:
    client, account = await arrange(provider)
    wanted = {"userinfo": {"favourite_colour": None}, "id_token": {"email": None}}
    tokens = await tokens_for(provider, client, account, scope="openid email", claims=wanted)
    assert await told(provider, tokens) == {
        "email": "anna@example.com",
        "email_verified": False,
        "favourite_colour": "green",
    }
    assert about_person(tokens) == {"email": "anna@example.com"}


async def test_what_is_unknown_is_left_out_and_other_places_are_ignored(
    sqlite_provider: Provider,
) -> None:
    client, account = await arrange(sqlite_provider)
    wanted = {
        "userinfo": {"unheard_of": {"essential": True}, "birthdate": None},
        "id_token": {"unheard_of": None},
        "refresh_token": {"nickname": None},
        "userinfo2": 1,
    }
    tokens = await tokens_for(sqlite_provider, client, account, scope="openid", claims=wanted)
    assert await told(sqlite_provider, tokens) == {}
    assert about_person(tokens) == {}


async def test_a_claim_with_a_language_tag_comes_in_that_language(
    sqlite_provider: Provider,
) -> None:
    client, account = await arrange(sqlite_provider)
    wanted = {"userinfo": {"nickname#de": None, "nickname#fr": None}, "id_token": {"nickname": {}}}
    tokens = await tokens_for(sqlite_provider, client, account, scope="openid", claims=wanted)
    assert await told(sqlite_provider, tokens) == {"nickname#de": "Ännchen"}
    assert about_person(tokens) == {"nickname": "Annie"}


@pytest.mark.parametrize(
    "claims",
    [
        "email",
        "[]",
        '"email"',
        "null",
        '{"userinfo": []}',
        '{"id_token": "email"}',
        '{"userinfo": {"email": true}}',
        '{"userinfo": {"email": "a"}}',
        '{"userinfo": {"email": {"essential": "yes"}}}',
        '{"userinfo": {"email": {"values": "a"}}}',
        '{"userinfo": {"email": null}',
        '{"userinfo": {"email": NaN}}',
    ],
)
async def test_what_is_malformed_is_told_the_client(sqlite_provider: Provider, claims: str) -> None:
    client, _ = await arrange(sqlite_provider)
    browser = sqlite_provider.browser()
    await visit(sqlite_provider, browser, client, claims=claims)
    answer = query_in(sqlite_provider, browser)
    assert (answer["error"], answer["state"]) == ("invalid_request", "the-state")


async def test_claims_without_openid_are_ignored(sqlite_provider: Provider) -> None:
    client, account = await arrange(sqlite_provider)
    wanted = {"userinfo": {"nickname": None}}
    tokens = await tokens_for(sqlite_provider, client, account, scope="api:read", claims=wanted)
    assert "id_token" not in tokens
    assert "userinfo_claims" not in claims_of(tokens["access_token"])


@pytest.mark.parametrize("place", ["userinfo", "id_token"])
@pytest.mark.parametrize("how", ["value", "values"])
async def test_another_person_than_the_wanted_one_has_to_sign_in(
    sqlite_provider: Provider, place: str, how: str
) -> None:
    client, anna = await arrange(sqlite_provider)
    ben = await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await tokens_for(sqlite_provider, client, ben, browser)
    wish = {"value": anna.id} if how == "value" else {"values": ["nobody", anna.id]}
    wanted = {place: {"sub": wish}}

    await visit(sqlite_provider, browser, client, prompt="none", claims=wanted)
    assert query_in(sqlite_provider, browser)["error"] == "login_required"

    page = await visit(sqlite_provider, browser, client, claims=wanted)
    assert page.has("#login-submit")
    await go_on(browser, page, ben)
    assert query_in(sqlite_provider, browser)["error"] == "login_required"

    tokens = await tokens_for(sqlite_provider, client, anna, browser, claims=wanted)
    assert claims_of(tokens["id_token"])["sub"] == anna.id
    await visit(sqlite_provider, browser, client, prompt="none", claims=wanted)
    assert "code" in query_in(sqlite_provider, browser)


async def test_a_hint_and_a_wanted_sub_must_both_be_met(sqlite_provider: Provider) -> None:
    client, anna = await arrange(sqlite_provider)
    ben = await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    hint = (await tokens_for(sqlite_provider, client, anna, browser))["id_token"]
    for wanted, answer in ((anna.id, "code"), (ben.id, "error")):
        claims = {"id_token": {"sub": {"value": wanted}}}
        await visit(
            sqlite_provider, browser, client, prompt="none", claims=claims, id_token_hint=hint
        )
        assert answer in query_in(sqlite_provider, browser)


@pytest.mark.parametrize("subject", [5, None, [], {"a": 1}, True])
async def test_a_wanted_sub_that_is_no_text_is_nobody(
    sqlite_provider: Provider, subject: Any
) -> None:
    client, account = await arrange(sqlite_provider)
    browser = sqlite_provider.browser()
    await tokens_for(sqlite_provider, client, account, browser)
    claims = {"id_token": {"sub": {"value": subject}}}
    await visit(sqlite_provider, browser, client, prompt="none", claims=claims)
    assert query_in(sqlite_provider, browser)["error"] == "login_required"


async def test_an_essential_acr_is_reached_or_refused(sqlite_provider: Provider) -> None:
    client, account = await arrange(sqlite_provider)
    metadata = (await sqlite_provider.http.get("/.well-known/openid-configuration")).json()
    (reached,) = metadata["acr_values_supported"]
    for wish, is_reached in (
        ({"essential": True, "value": reached}, True),
        ({"essential": True, "values": ["phr", reached]}, True),
        ({"essential": True}, True),
        ({"value": "phr"}, True),
        ({"essential": True, "value": "phr"}, False),
        ({"essential": True, "values": ["phr", "phrh"]}, False),
    ):
        browser = sqlite_provider.browser()
        claims = {"id_token": {"acr": wish}}
        page = await visit(sqlite_provider, browser, client, claims=claims)
        if is_reached:
            await go_on(browser, page, account)
            code = query_in(sqlite_provider, browser)["code"]
            tokens = (await sqlite_provider.redeem(client, code)).json()
            assert claims_of(tokens["id_token"])["acr"] == reached
        else:
            error = query_in(sqlite_provider, browser)["error"]
            assert error == "unmet_authentication_requirements"


async def test_the_person_is_asked_for_claims_that_no_scope_reaches(
    sqlite_provider: Provider,
) -> None:
    client, account = await arrange(sqlite_provider)
    browser = sqlite_provider.browser()
    wanted: dict[str, Any] = {"userinfo": {"favourite_colour": None, "nickname": None}}
    scope = "openid profile"
    page = await visit(sqlite_provider, browser, client, scope=scope, claims=wanted)
    page = await browser.submit(
        page, {"username": account.username, "password": account.password}, button="#login-submit"
    )
    assert "favourite_colour" in page.text
    assert "nickname" not in page.text  # the scope profile says that much
    await browser.submit(page, {}, button="#consent-approve")
    assert "code" in query_in(sqlite_provider, browser)

    await visit(sqlite_provider, browser, client, scope=scope, claims=wanted, prompt="none")
    assert "code" in query_in(sqlite_provider, browser)
    for place in ("userinfo", "id_token"):
        more = {**wanted, place: {"phone_number": None}}
        await visit(sqlite_provider, browser, client, scope=scope, claims=more, prompt="none")
        assert query_in(sqlite_provider, browser)["error"] == "consent_required"
        page = await visit(sqlite_provider, browser, client, scope=scope, claims=more)
        assert page.has("#consent-approve")
        assert "phone_number" in page.text


async def test_a_person_who_says_no_gives_no_claim(sqlite_provider: Provider) -> None:
    client, account = await arrange(sqlite_provider)
    browser = sqlite_provider.browser()
    wanted = {"userinfo": {"phone_number": None}}
    await tokens_for(sqlite_provider, client, account, browser)
    page = await visit(sqlite_provider, browser, client, claims=wanted)
    await browser.submit(page, {}, button="#consent-deny")
    assert query_in(sqlite_provider, browser)["error"] == "access_denied"
    await visit(sqlite_provider, browser, client, claims=wanted, prompt="none")
    assert query_in(sqlite_provider, browser)["error"] == "consent_required"


async def test_a_refreshed_token_still_reaches_the_claims(provider: Provider) -> None:
    client, account = await arrange(provider)
    wanted = {"userinfo": {"nickname": None}, "id_token": {"phone_number": None}}
    tokens = await tokens_for(provider, client, account, claims=wanted)
    for _ in range(2):
        response = await provider.refresh(client, tokens["refresh_token"])
        assert response.status_code == 200
        tokens = response.json()
        assert await told(provider, tokens) == {"nickname": "Annie"}
        claims = claims_of(tokens["id_token"])
        assert claims["phone_number"] == CLAIMS["phone_number"]
        assert "nickname" not in claims


async def test_a_refreshed_token_without_openid_reaches_no_claim(
    sqlite_provider: Provider,
) -> None:
    client, account = await arrange(sqlite_provider)
    wanted = {"userinfo": {"nickname": None}}
    tokens = await tokens_for(
        sqlite_provider,
        client,
        account,
        claims=wanted,
        scope="openid api:read offline_access",
    )
    response = await sqlite_provider.refresh(client, tokens["refresh_token"], scope="api:read")
    assert "userinfo_claims" not in claims_of(response.json()["access_token"])
    assert (await sqlite_provider.userinfo(response.json()["access_token"])).status_code == 403


async def test_a_claim_that_changes_or_goes_shows_at_once(sqlite_provider: Provider) -> None:
    client, account = await arrange(sqlite_provider)
    wanted = {"userinfo": {"nickname": None, "favourite_colour": None}}
    tokens = await tokens_for(sqlite_provider, client, account, claims=wanted)
    async with sqlite_provider.resources.database.transaction() as tx:
        await sqlite_provider.resources.people.update(
            tx, account.id, ORIGIN, {"claims": {"nickname": "Anne"}}
        )
    assert await told(sqlite_provider, tokens) == {"nickname": "Anne"}


async def test_no_claim_of_the_protocol_is_taken_from_the_request_or_the_person(
    sqlite_provider: Provider,
) -> None:
    client, account = await arrange(sqlite_provider)
    names = [
        *("iss", "sub", "aud", "exp", "iat", "nonce", "azp", "amr", "sid", "at_hash", "c_hash"),
        *("roles", "permissions", "scope", "client_id", "events", "family_id", "userinfo_claims"),
    ]
    wishes = {name: {"essential": True} for name in names}
    plain = await tokens_for(sqlite_provider, client, account)
    tokens = await tokens_for(
        sqlite_provider,
        client,
        account,
        claims={"userinfo": wishes, "id_token": wishes},
    )
    assert claims_of(tokens["id_token"]).keys() == claims_of(plain["id_token"]).keys()
    for name in ("iss", "sub", "aud", "azp", "nonce", "amr"):
        assert claims_of(tokens["id_token"])[name] == claims_of(plain["id_token"])[name]
    assert await told(sqlite_provider, tokens) == await told(sqlite_provider, plain)


async def test_the_parameter_survives_the_sign_in_whatever_it_holds(
    sqlite_provider: Provider,
) -> None:
    client, account = await arrange(sqlite_provider)
    odd = {"userinfo": {"nickname#de": {"value": "a b+c%20d&e=f#g"}}, "ü": "漢字"}
    tokens = await tokens_for(
        sqlite_provider,
        client,
        account,
        claims=orjson.dumps(odd, option=orjson.OPT_INDENT_2).decode().replace("\n", ""),
    )
    assert await told(sqlite_provider, tokens) == {"nickname#de": "Ännchen"}
