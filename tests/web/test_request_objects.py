"""Request objects by value: what is inside, who signed it, and what wins (RFC 9101)."""

from typing import Any

import pytest

from tests.answers import check_error_page
from tests.client_keys import ALGORITHMS, private_key
from tests.conftest import Backend, OpenProvider
from tests.front_channel import fragment_in, go_on, query_in, visit
from tests.provider import Provider, TestClient, claims_of
from tests.request_objects import (
    claims_inside,
    client_with_keys,
    outside,
    signed,
    unsigned,
)


async def error_of(
    provider: Provider, client: TestClient, jwt: str, **parameters: Any
) -> dict[str, str]:
    """Return the error that the client is told; the redirect URI is outside as well."""
    browser = provider.browser()
    await visit(provider, browser, client, request=jwt, **parameters)
    return query_in(provider, browser)


async def check_refused(
    provider: Provider, client: TestClient, jwt: str, **parameters: Any
) -> None:
    """Hold the answer to invalid_request_object, with the outer state."""
    answer = await error_of(provider, client, jwt, **parameters)
    assert answer.pop("error_description")
    assert answer == {
        "error": "invalid_request_object",
        "state": "the-state",
        "iss": provider.settings.issuer,
    }


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("registered", [True, False])
async def test_a_signed_request_works_with_every_algorithm(
    sqlite_provider: Provider, alg: str, registered: bool
) -> None:
    client = await client_with_keys(
        sqlite_provider, alg, request_object_signing_alg=alg if registered else None
    )
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()
    jwt = signed(claims_inside(sqlite_provider, client, state="inside"), alg)
    page = await visit(sqlite_provider, browser, client, request=jwt, **outside(client))
    await go_on(browser, page, account)
    answer = query_in(sqlite_provider, browser)
    assert answer["state"] == "inside"
    tokens = (await sqlite_provider.redeem(client, answer["code"])).json()
    assert claims_of(tokens["id_token"])["nonce"] == "the-nonce"


@pytest.mark.parametrize("alg", ["ES256", "none"])
async def test_only_the_registered_algorithm_counts(sqlite_provider: Provider, alg: str) -> None:
    client = await client_with_keys(sqlite_provider, "RS256", request_object_signing_alg="RS256")
    claims = claims_inside(sqlite_provider, client)
    jwt = unsigned(claims) if alg == "none" else signed(claims, alg)
    await check_refused(sqlite_provider, client, jwt)


async def test_unsigned_requests_are_for_clients_that_registered_none(
    sqlite_provider: Provider,
) -> None:
    account = await sqlite_provider.create_user()
    careless = await sqlite_provider.create_client(request_object_signing_alg="none")
    browser = sqlite_provider.browser()
    jwt = unsigned(claims_inside(sqlite_provider, careless, iss=None, aud=None))
    page = await visit(sqlite_provider, browser, careless, request=jwt, **outside(careless))
    await go_on(browser, page, account)
    assert "code" in query_in(sqlite_provider, browser)
    await check_refused(sqlite_provider, careless, jwt + "AAAA")

    for other in (await client_with_keys(sqlite_provider), await sqlite_provider.create_client()):
        jwt = unsigned(claims_inside(sqlite_provider, other))
        await check_refused(sqlite_provider, other, jwt)
    await check_refused(sqlite_provider, careless, signed(claims_inside(sqlite_provider, careless)))


@pytest.mark.parametrize("typ", ["oauth-authz-req+jwt", "JWT", None, "application/jwt"])
async def test_the_type_may_be_left_out(sqlite_provider: Provider, typ: str | None) -> None:
    client = await client_with_keys(sqlite_provider)
    jwt = signed(claims_inside(sqlite_provider, client, prompt="none"), typ=typ)
    assert (await error_of(sqlite_provider, client, jwt))["error"] == "login_required"


async def test_what_is_inside_wins_over_what_is_outside(sqlite_provider: Provider) -> None:
    client, account = await client_with_keys(sqlite_provider), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    inside = claims_inside(
        sqlite_provider, client, scope="openid email", state="inside", nonce="inside", max_age=600
    )
    page = await visit(
        sqlite_provider,
        browser,
        client,
        request=signed(inside),
        scope="openid profile offline_access",
        state="outside",
        nonce="outside",
        max_age=0,
    )
    await go_on(browser, page, account)
    answer = query_in(sqlite_provider, browser)
    assert answer["state"] == "inside"
    tokens = (await sqlite_provider.redeem(client, answer["code"])).json()
    assert tokens["scope"] == "openid email"
    assert claims_of(tokens["id_token"])["nonce"] == "inside"


async def test_what_is_outside_alone_counts_for_openid_requests(
    sqlite_provider: Provider,
) -> None:
    client, account = await client_with_keys(sqlite_provider), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    jwt = signed({"iss": client.client_id, "aud": sqlite_provider.settings.issuer, "nonce": "in"})
    page = await visit(sqlite_provider, browser, client, request=jwt, state="outside")
    await go_on(browser, page, account)
    answer = query_in(sqlite_provider, browser)
    assert answer["state"] == "outside"
    tokens = (await sqlite_provider.redeem(client, answer["code"])).json()
    assert claims_of(tokens["id_token"])["nonce"] == "in"


@pytest.mark.parametrize(
    ("metadata", "scope"),
    [
        ({"require_signed_request_object": True}, "openid"),
        ({}, "api:read"),
        ({}, None),
        ({}, "openid2"),
    ],
)
async def test_what_is_outside_alone_does_not_count_for_other_requests(
    sqlite_provider: Provider, metadata: dict[str, Any], scope: str | None
) -> None:
    client = await client_with_keys(sqlite_provider, **metadata)
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()
    jwt = signed(claims_inside(sqlite_provider, client, state=None, scope="api:read"))
    page = await visit(
        sqlite_provider, browser, client, request=jwt, state="outside", scope=scope, prompt="none"
    )
    await go_on(browser, page, account)
    answer = query_in(sqlite_provider, browser)
    assert "code" in answer
    assert "state" not in answer


async def test_a_client_that_must_sign_can_not_go_without(sqlite_provider: Provider) -> None:
    client = await client_with_keys(sqlite_provider, require_signed_request_object=True)
    browser = sqlite_provider.browser()
    await visit(sqlite_provider, browser, client)
    assert query_in(sqlite_provider, browser)["error"] == "invalid_request_object"
    await check_refused(sqlite_provider, client, unsigned(claims_inside(sqlite_provider, client)))


async def test_request_and_request_uri_exclude_each_other(sqlite_provider: Provider) -> None:
    uri = "https://app.example/request.jwt"
    client = await client_with_keys(sqlite_provider, request_uris=[uri])
    jwt = signed(claims_inside(sqlite_provider, client))
    answer = await error_of(sqlite_provider, client, jwt, request_uri=uri)
    assert answer["error"] == "invalid_request"


@pytest.mark.parametrize(
    "changes",
    [
        {"request": "a.b.c"},
        {"request_uri": "https://app.example/request.jwt"},
        {"iss": "somebody"},
        {"iss": 5},
        {"aud": "https://other.example"},
        {"aud": ["https://other.example"]},
        {"aud": 5},
        {"aud": None, "sub": "the client"},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1e300},
        {"nbf": 4_000_000_000},
        {"nbf": []},
        {"nbf": -1e30},
        {"client_id": "somebody"},
        {"client_id": ["the client"]},
        {"response_type": "id_token"},
        {"state": "a\x00b"},
        {"state": "a\nb"},
    ],
)
async def test_claims_that_are_wrong_are_refused(
    sqlite_provider: Provider, changes: dict[str, Any]
) -> None:
    client = await client_with_keys(sqlite_provider)
    if changes.get("sub") == "the client":
        changes = {**changes, "sub": client.client_id}
    jwt = signed(claims_inside(sqlite_provider, client, **changes))
    await check_refused(sqlite_provider, client, jwt)


async def test_times_are_judged_with_the_leeway(sqlite_provider: Provider) -> None:
    client = await client_with_keys(sqlite_provider)
    now = int(sqlite_provider.clock.now().timestamp())
    for changes, code in (
        ({"exp": now - 5}, "login_required"),
        ({"exp": now - 15}, "invalid_request_object"),
        ({"nbf": now + 5}, "login_required"),
        ({"nbf": now + 25}, "invalid_request_object"),
        ({"exp": now + 60, "iat": now, "jti": "x"}, "login_required"),
        ({"aud": [sqlite_provider.settings.issuer, "https://other.example"]}, "login_required"),
    ):
        inside = claims_inside(sqlite_provider, client, prompt="none", **changes)
        assert (await error_of(sqlite_provider, client, signed(inside)))["error"] == code, changes


@pytest.mark.parametrize("kid", [None, "ES256-0", "ES256-1"])
async def test_only_the_keys_of_the_client_sign(sqlite_provider: Provider, kid: str | None) -> None:
    client = await client_with_keys(sqlite_provider)
    inside = claims_inside(sqlite_provider, client, prompt="none")
    await check_refused(sqlite_provider, client, signed(inside, "ES256", 1, kid=kid))
    good = signed(inside)
    head, _, signature = good.split(".")
    other = signed({**inside, "scope": "openid api:write"}).split(".")[1]
    await check_refused(sqlite_provider, client, f"{head}.{other}.{signature}")
    assert (await error_of(sqlite_provider, client, good))["error"] == "login_required"
    assert private_key("ES256", 0) is not private_key("ES256", 1)


@pytest.mark.parametrize("jwt", ["garbage", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "." * 40_000])
async def test_what_is_no_jwt_is_refused(sqlite_provider: Provider, jwt: str) -> None:
    await check_refused(sqlite_provider, await client_with_keys(sqlite_provider), jwt)


async def test_the_redirect_uri_may_be_inside_alone(sqlite_provider: Provider) -> None:
    client = await client_with_keys(sqlite_provider)
    jwt = signed(claims_inside(sqlite_provider, client, prompt="none"))
    browser = sqlite_provider.browser()
    await visit(sqlite_provider, browser, client, request=jwt, **outside(client))
    assert query_in(sqlite_provider, browser)["error"] == "login_required"


async def test_a_redirect_uri_inside_must_be_registered(sqlite_provider: Provider) -> None:
    client = await client_with_keys(sqlite_provider)
    jwt = signed(claims_inside(sqlite_provider, client, redirect_uri="https://evil.example/cb"))
    browser = sqlite_provider.browser()
    page = await visit(sqlite_provider, browser, client, request=jwt)
    check_error_page(browser, page, 400, "invalid_redirect_uri")


@pytest.mark.parametrize("redirect_uri", ["https://evil.example/cb", None])
async def test_a_bad_request_object_is_told_only_a_registered_redirect_uri(
    sqlite_provider: Provider, redirect_uri: str | None
) -> None:
    client = await client_with_keys(sqlite_provider)
    browser = sqlite_provider.browser()
    jwt = signed(claims_inside(sqlite_provider, client), "ES256", 1)
    page = await visit(sqlite_provider, browser, client, request=jwt, redirect_uri=redirect_uri)
    check_error_page(browser, page, 400, "invalid_request_object")


async def test_the_outer_parameters_come_once(sqlite_provider: Provider) -> None:
    client, browser = await client_with_keys(sqlite_provider), sqlite_provider.browser()
    jwt = signed(claims_inside(sqlite_provider, client))
    pairs = sqlite_provider.authorization_parameters(client, request=jwt)
    twice: Any = [*pairs.items(), ("request", jwt)]
    await browser.get("/authorize", twice)
    assert query_in(sqlite_provider, browser)["error"] == "invalid_request"


async def test_numbers_objects_and_lists_inside_are_read(sqlite_provider: Provider) -> None:
    resources = ["https://api.example", "https://other.example"]
    client = await client_with_keys(sqlite_provider, resources=resources)
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()
    inside = claims_inside(
        sqlite_provider,
        client,
        claims={"id_token": {"preferred_username": {"essential": True}}},
        max_age=600,
        resource=resources,
    )
    page = await visit(sqlite_provider, browser, client, request=signed(inside), **outside(client))
    await go_on(browser, page, account)
    code = query_in(sqlite_provider, browser)["code"]
    tokens = (await sqlite_provider.redeem(client, code)).json()
    assert claims_of(tokens["id_token"])["preferred_username"] == account.username
    assert set(resources) <= set(claims_of(tokens["access_token"])["aud"])


async def test_what_is_null_inside_is_not_there(sqlite_provider: Provider) -> None:
    client, browser = await client_with_keys(sqlite_provider), sqlite_provider.browser()
    inside = claims_inside(sqlite_provider, client, prompt="none", max_age=None, state=None)
    sent = {**outside(client), "state": "outside"}
    await visit(sqlite_provider, browser, client, request=signed(inside), **sent)
    answer = query_in(sqlite_provider, browser)
    assert (answer["error"], answer["state"]) == ("login_required", "outside")


async def test_a_request_object_by_post_works_too(sqlite_provider: Provider) -> None:
    client, browser = await client_with_keys(sqlite_provider), sqlite_provider.browser()
    jwt = signed(claims_inside(sqlite_provider, client, prompt="none"))
    parameters = sqlite_provider.authorization_parameters(client, request=jwt)
    await browser.post("/authorize", parameters)
    assert query_in(sqlite_provider, browser)["error"] == "login_required"


async def test_the_response_mode_and_type_inside_say_where_the_answer_goes(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider: Provider = await open_providers(sqlite_backend, implicit_flow=True)
    client = await client_with_keys(
        provider,
        grant_types=["authorization_code", "implicit"],
        response_types=["code", "id_token"],
    )
    browser = provider.browser()
    jwt = signed(claims_inside(provider, client, response_mode="fragment", prompt="none"))
    await visit(provider, browser, client, request=jwt, response_mode="query")
    assert fragment_in(browser.left_for)["error"] == "login_required"
    jwt = signed(claims_inside(provider, client, response_type="id_token", prompt="none"))
    await visit(provider, browser, client, request=jwt, response_type="id_token")
    assert fragment_in(browser.left_for)["error"] == "login_required"


async def test_after_signing_in_the_request_is_the_one_inside(sqlite_provider: Provider) -> None:
    client, account = await client_with_keys(sqlite_provider), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    now = int(sqlite_provider.clock.now().timestamp())
    jwt = signed(claims_inside(sqlite_provider, client, scope="openid", exp=now + 60))
    page = await visit(sqlite_provider, browser, client, request=jwt, scope="openid offline_access")
    # The request was good when it came; that the person takes their time changes nothing.
    sqlite_provider.clock.move(minutes=5)
    await go_on(browser, page, account)
    code = query_in(sqlite_provider, browser)["code"]
    tokens = (await sqlite_provider.redeem(client, code)).json()
    assert tokens["scope"] == "openid"
    assert "refresh_token" not in tokens
